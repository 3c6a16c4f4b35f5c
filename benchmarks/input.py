"""How fast texts become ids and data become batches, beside the training that they must not keep waiting.

Run as `python -m benchmarks.input [--megabytes 100] [--threads 2] [--rounds 5] [--data TEXT] [--name NAME]`.

Texts are read from a file that lies in the page cache: Tiny Shakespeare over and over, and Chinese, 3,500 characters
drawn by Zipf's law. Batches are timed as an epoch gives them, next to a step of training on one of them.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np

import elman
from benchmarks import report
from benchmarks.shakespeare import find_text
from benchmarks.summary import Table
from benchmarks.timing import in_turns
from elman import layers
from elman.ragged import Ragged
from elman.tasks import Corpus, Vocabulary, read_text
from elman.training import Prefetched, SequenceBatches, StreamBatches
from elman.training.batches import Batch


def chinese(n_bytes: int) -> bytes:
    """Draw a text of characters whose frequencies fall as 1 / rank."""
    frequencies = 1 / np.arange(1, 3501)
    places = np.random.default_rng(0).choice(3500, n_bytes // 3, p=frequencies / frequencies.sum())
    return (0x4E00 + places).astype("<u4").tobytes().decode("utf-32-le").encode()


def characters(given: argparse.Namespace) -> list[dict[str, object]]:
    """Time the way from a file to ids, and its parts."""
    n_bytes = given.megabytes * 10**6
    once = find_text(given.data).read_bytes()
    texts = {"ascii": (once * (n_bytes // len(once) + 1))[:n_bytes], "chinese": chinese(n_bytes)}
    # On a machine that others use, the processor's own time says what this would take alone: it is one thread's work.
    rates: dict[str, list[float]] = {}
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, content in texts.items():
            path = Path(folder, kind)
            path.write_bytes(content)
            text = content.decode()
            vocabulary = Vocabulary.from_text(text)
            calls: dict[str, Callable[[], object]] = {
                "file to ids": lambda path=path: Corpus.from_files(path),
                "file to mapped ids": lambda path=path: Corpus.from_files(path, memory_map=True),
                "reading alone": lambda path=path: read_text(path),
                "vocabulary alone": lambda text=text: Vocabulary.from_text(text),
                "encoding alone": lambda text=text, v=vocabulary: v.encode(text, dtype=v.dtype),
            }
            samples: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
            for _ in range(given.rounds):
                for name, call in calls.items():
                    began = perf_counter(), process_time()
                    call()
                    samples[name].append((perf_counter() - began[0], process_time() - began[1]))
            for name, pairs in samples.items():
                wall, own = (len(text) / float(median) / 1e6 for median in np.median(pairs, axis=0))
                rates.setdefault(name, []).extend((wall, own))
                rows.append({"text": kind, "what": name, "million_per_second": round(wall, 1), "own": round(own, 1)})
    lines = [[name, *[f"{value:.0f}" for value in values]] for name, values in rates.items()]
    title = f"{given.megabytes} MB of text, million characters a second"
    report.show(Table(title, ("option", "ascii", "of processor time", "chinese", "of processor time"), lines))
    return rows


class Case(NamedTuple):
    """Batches, and a model that is trained on them."""

    name: str
    batches: SequenceBatches | StreamBatches
    model: elman.Sequential

    def prepare(self) -> None:
        """Go through an epoch without training."""
        for _ in self.batches:
            pass


def train(model: elman.Sequential, batches: Iterable[Batch]) -> None:
    """Take a step on each batch; the loop around it would decide for itself about the thread."""
    engine, optimizer = model._engine_for("benchmark"), model._compiled("benchmark")
    for batch in batches:
        engine.loss_and_gradients(batch, want_state=False)
        optimizer.step(model.parameters)


def cases() -> Iterator[Case]:
    """Give the points: streams of characters, and sequences that are shuffled."""
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 65, 2_000_000).astype(np.uint8)
    for streams, steps in ((50, 50), (64, 400)):
        model = elman.Sequential([layers.Embedding(65, 64), layers.LSTM(128, return_sequences=True), layers.Dense(65)])
        model.compile("adam", "cross_entropy")
        model.build(65, ids=True, rng=0)
        yield Case(f"streams B{streams} T{steps} LSTM(128)", StreamBatches(ids, n_streams=streams, steps=steps), model)
    for size, steps, features, units in ((10, 10, 3, 5), (64, 28, 28, 100), (64, 400, 40, 64), (256, 50, 256, 16)):
        n = min(40 * size, 10_000_000 // (steps * features))
        x = Ragged(rng.standard_normal((n * steps, features), np.float32), np.full(n, steps))
        model = elman.Sequential([layers.LSTM(units), layers.Dense(10)])
        model.compile("adam", "cross_entropy")
        model.build(features, rng=0)
        shuffled = SequenceBatches(x, rng.integers(0, 10, n), batch_size=size, per_step=False, shuffle=rng)
        yield Case(f"shuffled B{size} T{steps} I{features} LSTM({units})", shuffled, model)


def batches(given: argparse.Namespace) -> list[dict[str, object]]:
    """Time what it takes to prepare a batch, to train on it, and both with a thread that prepares."""
    lines: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for case in cases():
        model, one, n = case.model, next(iter(case.batches)), len(case.batches)
        ahead = Prefetched(case.batches)
        timings = in_turns(
            {"prepare": case.prepare, "step": lambda model=model, one=one: train(model, [one])}, rounds=given.rounds
        )
        few = max(3, min(20, int(0.5 / timings["step"].median)))  # batches, enough to tell
        both = in_turns(
            {
                name: lambda model=model, source=source, few=few: train(model, islice(iter(source), few))
                for name, source in (("plain", case.batches), ("ahead", ahead))
            },
            rounds=given.rounds,
        )
        prepare, step = timings["prepare"].median / n, timings["step"].median
        ratio = both["ahead"].over(both["plain"])
        lines.append([case.name, f"{prepare * 1e6:.1f}", f"{step * 1e6:,.0f}", f"{prepare / step:.2%}", f"{ratio:.2f}"])
        rows.append(
            {
                "point": case.name,
                "prepare_us": round(prepare * 1e6, 2),
                "step_us": round(step * 1e6, 2),
                "thread_over_plain": round(ratio, 3),
            }
        )
    columns = ("point", "prepare, us", "train, us", "share", "with a thread over without")
    report.show(Table("batches", columns, lines))
    return rows


def cold(given: argparse.Namespace) -> list[dict[str, object]]:
    """Time an epoch over ids on disk that are not in memory, with a thread that prepares and without."""
    if not hasattr(os, "posix_fadvise"):
        return []
    rng = np.random.default_rng(0)
    model = elman.Sequential([layers.Embedding(65, 8), layers.RNN(16, return_sequences=True), layers.Dense(65)])
    model.compile("adam", "cross_entropy")
    model.build(65, ids=True, rng=0)
    samples: dict[str, list[float]] = {"plain": [], "ahead": []}
    with tempfile.NamedTemporaryFile() as file:
        file.write(rng.integers(0, 65, 5_000_000).astype(np.uint8).data)
        file.flush()
        os.fsync(file.fileno())
        for turn in range(given.rounds * 2):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            streams = StreamBatches(np.memmap(file.name, np.uint8, "r").view(np.ndarray), n_streams=2000, steps=50)
            began = perf_counter()
            train(model, Prefetched(streams) if turn % 2 else streams)
            samples["ahead" if turn % 2 else "plain"].append(perf_counter() - began)
    ratio = float(np.median(np.divide(samples["ahead"], samples["plain"])))
    report.console.print(f"5 MB of ids on disk, not in memory, RNN(16): {ratio:.2f} of the time with a thread")
    return [{"point": "not in memory", "thread_over_plain": round(ratio, 3), "seconds": samples}]


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=100, help="of text")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", help="the text; searched for below ELMAN_DATA if not given")
    parser.add_argument("--name", default="input", help="results/NAME.json")
    given = parser.parse_args()
    elman.set_threads(given.threads)
    report.save(given.name, characters(given) + batches(given) + cold(given))


if __name__ == "__main__":
    main()
