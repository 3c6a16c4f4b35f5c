"""Read handwritten digits row by row: an LSTM of 100 units sees 28 rows of 28 pixels and then says which digit it was.

An image is no sequence, but a reader makes it one: at every step the network takes in one row, and its state must hold
whatever of the rows above still matters, the loop of a 9 until its stem has come. The settings are those of the
tutorials: batches of 50, Adam with 1e-3, 6 epochs, 98 % of 10,000 test images and more. The four files are taken from
the folder `mnist` below ELMAN_DATA, or fetched once; `python examples/mnist_rows.py 7` begins with the seed 7.
"""

import gzip
import os
import sys
from pathlib import Path

import numpy as np

from elman import Sequential, callbacks, layers, optimizers

MIRROR = "https://ossci-datasets.s3.amazonaws.com/mnist/"
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def find(name):
    """Return the path of a data file, fetched if there is none; end with a message if it cannot be had."""
    folder = os.environ.get("ELMAN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    path = Path(folder, "mnist", name)
    if path.exists():
        return path
    cure = f"Put the four files of {MIRROR} into a folder mnist and set ELMAN_DATA to the folder above it."
    try:
        import pooch

        cache = pooch.os_cache("elman") / "mnist"
        return Path(pooch.retrieve(MIRROR + name, SHA256[name], fname=name, path=cache))
    except ImportError:
        sys.exit(
            f"mnist_rows: {name} is not in {path.parent}. To have it fetched: pip install 'elman[data]'. Or: {cure}"
        )
    except (OSError, ValueError) as error:
        why = "its checksum is wrong" if isinstance(error, ValueError) else type(error).__name__
        sys.exit(f"mnist_rows: {name} is not in {path.parent} and could not be fetched ({why}). {cure}")


def read(part):
    """Return the images (N, 28, 28) from 0 to 1 and the digits (N,) of a part, "train" or "t10k"."""
    images, digits = (find(f"{part}-{kind}-ubyte.gz").read_bytes() for kind in ("images-idx3", "labels-idx1"))
    pixels = np.frombuffer(gzip.decompress(images), np.uint8, offset=16).reshape(-1, 28, 28)
    return pixels.astype(np.float32) / 255, np.frombuffer(gzip.decompress(digits), np.uint8, offset=8)


def say(epoch, logs):
    """Print the accuracy on the test images."""
    print(f"test accuracy {100 * logs['val_accuracy']:.2f} %", flush=True)


def main(seed=0, epochs=6, train=None, test=None):
    """Train and return the last accuracy."""
    model = Sequential([layers.LSTM(100), layers.Dense(10)])
    model.compile(optimizers.Adam(1e-3), "cross_entropy", metrics=["accuracy"])
    history = model.fit(
        *(train or read("train")),
        validation_data=test or read("t10k"),
        batch_size=50,
        epochs=epochs,
        callbacks=[callbacks.LambdaCallback(on_epoch_end=say)],
        verbose=0,
        rng=seed,
    )
    return history.history["val_accuracy"][-1]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
