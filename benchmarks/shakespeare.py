"""Tiny Shakespeare, character by character: elman and torch, epoch after epoch in turns.

Run as `python -m benchmarks.shakespeare [--cell lstm] [--epochs 6] [--data input.txt]`. Both train the same net on the
first 90 % of the text (batch 50, 50 steps, carried state, Adam 2e-3, clip 5) and are scored on the rest as one stream,
from the zero state. An epoch's time is that of its training windows.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import torch

import elman
from benchmarks import report
from benchmarks.torch_models import CharModel, Trainer
from elman.training.callbacks import Callback
from elman.training.streams import StreamBatches

BATCH, STEPS = 50, 50


def find_text(given: str | None) -> Path:
    """Return the text's path: the one given, or below ELMAN_DATA or the folder beside this project."""
    if given:
        return Path(given)
    beside = Path(__file__).resolve().parent.parent.parent / "shared" / "data"
    return Path(os.environ.get("ELMAN_DATA", beside)) / "tinyshakespeare" / "input.txt"


class TorchSide:
    """torch's half: one epoch at a time."""

    def __init__(self, kind: str, ids, n_train: int, vocabulary: int, embedding: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.trainer = Trainer(CharModel(kind, vocabulary=vocabulary, embedding=embedding))
        # The same streams as elman's: contiguous; the characters that do not fill the last window are one short window.
        batches = StreamBatches(ids[:n_train], n_streams=BATCH, steps=STEPS)
        shortest = int(batches.lengths[-1])
        places = torch.from_numpy(batches.starts)[:, None] + torch.arange(shortest)
        tokens = torch.from_numpy(ids)
        self.x, self.y = tokens[places], tokens[places + 1]
        self.validation = tokens[n_train:-1], tokens[n_train + 1 :]
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def epoch(self) -> None:
        """Train one epoch, then validate."""
        start, state = time.perf_counter(), None
        for step in range(0, self.x.shape[1], STEPS):
            window = slice(step, step + STEPS)
            _, state = self.trainer.step(self.x[:, window], self.y[:, window], state)
        self.seconds.append(time.perf_counter() - start)
        self.losses.append(self.trainer.validate(*self.validation))


class InTurns(Callback):
    """Times elman's epochs, and lets torch have one after each."""

    def __init__(self, other: TorchSide) -> None:
        self.other = other
        self.seconds: list[float] = []
        self.losses: list[float] = []

    def on_train_begin(self, logs: Mapping[str, float]) -> None:
        """Start the clock."""
        self.start = time.perf_counter()

    def on_batch_end(self, batch: int, logs: Mapping[str, float]) -> None:
        """Note the time: the last one of an epoch counts."""
        self.end = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Run torch's epoch and print both."""
        self.seconds.append(self.end - self.start)
        self.losses.append(logs["val_loss"])
        self.other.epoch()
        ours, theirs = self.seconds[-1], self.other.seconds[-1]
        report.console.print(
            f"epoch {epoch + 1}: elman {ours:6.2f} s {self.losses[-1]:.4f}   torch {theirs:6.2f} s "
            f"{self.other.losses[-1]:.4f}   time {ours / theirs:.3f} of torch's",
            highlight=False,
        )
        self.start = time.perf_counter()


def main() -> None:
    """Run the comparison for one cell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cell", default="lstm", choices=["rnn", "lstm", "gru"])
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--embedding", type=int, default=64, help="0 feeds one-hot characters to the first layer")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help="the text; searched for below ELMAN_DATA if not given")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    elman.set_threads(options.threads)
    text = find_text(options.data).read_text(encoding="utf-8")
    vocabulary = elman.Vocabulary.from_text(text)
    ids = vocabulary.encode(text).astype("int64")
    other = TorchSide(options.cell, ids, int(len(ids) * 0.9), vocabulary.size, options.embedding, options.seed)
    turns = InTurns(other)
    model = elman.LanguageModel(
        cell=options.cell, layers=2, hidden=128, embedding=options.embedding, batch=BATCH, steps=STEPS,
        epochs=options.epochs, lr=2e-3, warmup=0.0, schedule="constant", weight_decay=0.0, beta_2=0.999, dropout=0.0,
        clip=5.0, precision="float32", val_split=0.1, random_state=options.seed, verbose=0,
    )  # fmt: skip
    model.fit(text, callbacks=[turns])
    ratio = sorted(a / b for a, b in zip(turns.seconds, other.seconds, strict=True))[options.epochs // 2]
    report.console.print(
        f"{options.cell}: median time {ratio:.3f} of torch's; validation {turns.losses[-1]:.4f} nats/char"
    )
    rows = [
        {
            "cell": options.cell,
            "embedding": options.embedding,
            "who": who,
            "seconds": side.seconds,
            "validation": side.losses,
        }
        for who, side in (("elman", turns), ("torch", other))
    ]
    report.save(f"shakespeare-{options.cell}", rows)


if __name__ == "__main__":
    main()
