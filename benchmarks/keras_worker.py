"""Keras in a process and an environment of its own: builds and trains what `keras_programs` asks for.

Run by that environment's Python as `python keras_worker.py PIPE THREADS`; it needs nothing of elman. Requests come over
the pipe, an inherited descriptor: the fields of a `Program`, data and weights to build a model, a number of epochs to
train it; when the pipe ends, so does the worker.
"""

import os
import sys
from multiprocessing.connection import Connection

os.environ |= {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}

import keras
import tensorflow as tf


def build(request):
    """Return the model as one would write it in Keras, with the weights given."""
    options = {"recurrent_dropout": request["recurrent_dropout"]} if request["recurrent_dropout"] else {}
    recurrent = {"rnn": keras.layers.SimpleRNN, "lstm": keras.layers.LSTM}[request["cell"]]
    model = keras.Sequential([recurrent(request["units"], **options), keras.layers.Dense(request["outputs"])])
    losses = {"mse": "mse", "cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True)}
    model.compile(loss=losses[request["loss"]], optimizer="adam")
    model.build((None, *request["x"].shape[1:]))
    model.set_weights(request["weights"])
    return model


def receive(other):
    """Return the next request; None if the other side is gone."""
    try:
        return other.recv()
    except EOFError:
        return None


def main(pipe: int, threads: int) -> None:
    """Answer until the other side says None."""
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    with Connection(pipe) as other:
        other.send({"keras": keras.__version__, "tensorflow": tf.__version__})
        while (request := receive(other)) is not None:
            if isinstance(request, dict):
                model, now = build(request), request
                size = now["batch_size"]
                other.send(model.test_on_batch(now["x"][:size], now["y"][:size]))
            else:
                model.fit(now["x"], now["y"], epochs=request, batch_size=size, verbose=0)
                other.send(True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
