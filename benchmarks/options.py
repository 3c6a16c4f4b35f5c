"""What options of cells and lengths of sequences cost: elman beside itself, and CTC beside torch.

Run as `python -m benchmarks.options [--point mid] [--threads 2] [--rounds 11] [--name NAME]`.

An option's cost is the time of forward and backward per floating-point operation of its products, over that of the
plain cell, timed in turns. Sequences of 0 to 500 steps are compared with as many steps in sequences of equal lengths.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch

import elman
from benchmarks import report
from benchmarks.answers import check
from benchmarks.grid import NAMED, Point
from benchmarks.summary import Table
from benchmarks.timing import in_turns
from elman import layers
from elman.cells import GRU, LSTM, RNN, Cell
from elman.ops import recurrence
from elman.ops.ctc import ctc
from elman.ops.noise import QUIET, Noise, coins, keep_mask
from elman.ops.weights import Weights
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged

Masks = Callable[[np.random.Generator, int, int, int, int], Noise]


FLOAT = np.dtype(np.float32)


def recurrent_dropout(rng: np.random.Generator, batch: int, n_steps: int, gates: int, hidden: int) -> Noise:
    """Draw one mask per sequence."""
    return Noise(h_mask=keep_mask(rng, 0.2, (batch, hidden), FLOAT))


def zoneout(rng: np.random.Generator, batch: int, n_steps: int, gates: int, hidden: int) -> Noise:
    """Draw a mask per step, for h and, where there is one, for c."""
    zone_c = coins(rng, 0.2, (n_steps, hidden)).astype(FLOAT) if gates == len(LSTM().gates) else 0.0
    return Noise(zone_h=coins(rng, 0.1, (n_steps, hidden)).astype(FLOAT), zone_c=zone_c)


def weight_drop(rng: np.random.Generator, batch: int, n_steps: int, gates: int, hidden: int) -> Noise:
    """Draw a mask of R."""
    return Noise(weight_mask=keep_mask(rng, 0.3, (gates * hidden, hidden), FLOAT))


#: Plain cell -> option -> cell, and what is done at random.
OPTIONS: dict[str, dict[str, tuple[Cell, Masks | None]]] = {
    "rnn": {
        "": (RNN(), None),
        "relu": (RNN("relu"), None),
        "recurrent dropout": (RNN(), recurrent_dropout),
        "zoneout": (RNN(), zoneout),
        "layer norm": (RNN(layer_norm=True), None),
    },
    "lstm": {
        "": (LSTM(), None),
        "hard_sigmoid gates": (LSTM(recurrent_activation="hard_sigmoid"), None),
        "peephole": (LSTM(peephole=True), None),
        "coupled": (LSTM(coupled=True), None),
        "recurrent dropout": (LSTM(), recurrent_dropout),
        "zoneout": (LSTM(), zoneout),
        "weight drop": (LSTM(), weight_drop),
        "projection to half": (LSTM(projection=64), None),
        "layer norm": (LSTM(layer_norm=True), None),
    },
    "gru": {
        "": (GRU(), None),
        "recurrent dropout": (GRU(), recurrent_dropout),
        "zoneout": (GRU(), zoneout),
        "weight drop": (GRU(), weight_drop),
        "reset before": (GRU(reset_after=False), None),
        "layer norm": (GRU(layer_norm=True), None),
        "reset before, layer norm": (GRU(reset_after=False, layer_norm=True), None),
    },
}


def both_passes(cell: Cell, masks: Masks | None, point: Point) -> tuple[Callable[[], object], float]:
    """Give one call of forward and backward (without dx), and the operations of its products."""
    rng = np.random.default_rng(0)
    batch, steps, inputs, hidden = point[:4]
    n_steps = batch * steps
    shapes = cell.param_shapes(inputs, hidden)
    weights = Weights({k: (rng.standard_normal(v) / np.sqrt(hidden)).astype(np.float32) for k, v in shapes.items()})
    x = Ragged(rng.standard_normal((n_steps, inputs), np.float32), np.full(batch, steps))
    dy = rng.standard_normal((n_steps, cell.state_sizes(hidden)[0]), np.float32)
    grads = {name: np.zeros_like(array) for name, array in weights.items()}
    workspace = Workspace()

    def call() -> None:
        weights.clock.ticks += 1  # weights change between steps of training
        noise = QUIET if masks is None else masks(rng, batch, n_steps, cell.n_gates, hidden)  # masks as well
        workspace.begin()
        with activate(workspace):
            _, _, tape = recurrence.forward(cell, x, weights, state=None, tape=True, noise=noise)
            recurrence.backward(cell, dy, tape, weights, grads, dstate=None, want_dx=False, keep_dh=False)

    # Every weight matrix meets every step twice, once forward and once for its gradient; those that lead back in time
    # a third time.
    sizes = {name: array.size for name, array in weights.items() if array.ndim == 2}
    back = sum(size for name, size in sizes.items() if name != "weight_ih")
    return call, 2.0 * n_steps * (2 * sum(sizes.values()) + back)


def options(point: Point, rounds: int) -> list[dict[str, object]]:
    """Time every option beside its plain cell."""
    title = f"forward and backward, float32, B{point.batch} T{point.steps} I{point.input_size} H{point.hidden}"
    columns = ("cell", "option", "ms", "GFLOP/s", "time per operation over the plain cell's")
    lines: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for kind, variants in OPTIONS.items():
        made = {name: both_passes(cell, masks, point) for name, (cell, masks) in variants.items()}
        timings = in_turns({name: call for name, (call, _) in made.items()}, rounds=rounds)
        for name, timing in timings.items():
            flops = made[name][1]
            cost = timing.over(timings[""]) * made[""][1] / flops
            speed = f"{flops / timing.median / 1e9:.0f}"
            lines.append([kind, name or "plain", report.milliseconds(timing), speed, f"{cost:.2f}"])
            rows.append({"cell": kind, "option": name, **timing.as_dict(), "cost": round(cost, 3)})
    report.show(Table(title, columns, lines, 2))
    return rows


STACKS: dict[str, Callable[[], list[layers.Layer]]] = {
    "rnn": lambda: [layers.RNN(128), layers.Dense(1)],
    "lstm": lambda: [layers.LSTM(128), layers.Dense(1)],
    "gru": lambda: [layers.GRU(128), layers.Dense(1)],
    "2 x bidirectional lstm": lambda: [
        layers.Bidirectional(layers.LSTM(64, return_sequences=True)),
        layers.Bidirectional(layers.LSTM(64)),
        layers.Dense(1),
    ],
    "2 x bidirectional gru": lambda: [
        layers.Bidirectional(layers.GRU(64, return_sequences=True)),
        layers.Bidirectional(layers.GRU(64)),
        layers.Dense(1),
    ],
}


def lengths(rounds: int) -> list[dict[str, object]]:
    """Time a training step on 64 sequences of 0 to 500 steps, and on as many steps in equal lengths."""
    rng = np.random.default_rng(0)
    ragged = np.sort(rng.permutation(np.linspace(0, 500, 64).astype(np.int64)))[rng.permutation(64)]
    equal = np.full(64, int(ragged.sum()) // 64)
    lines: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for name, stack in STACKS.items():
        calls: dict[str, Callable[[], object]] = {}
        for form, each in (("ragged", ragged), ("equal", equal)):
            model = elman.Sequential(stack())
            model.compile("sgd", "mse")
            x = Ragged(rng.standard_normal((int(each.sum()), 64), np.float32), each)
            y = rng.standard_normal(64)
            calls[form] = lambda model=model, x=x, y=y: model.train_on_batch(x, y)
        timings = in_turns(calls, rounds=rounds)
        ratio = timings["ragged"].over(timings["equal"]) * equal.sum() / ragged.sum()
        lines.append([name, *[report.milliseconds(timings[form]) for form in calls], f"{ratio:.2f}"])
        rows.append({"stack": name, "ragged_over_equal": round(float(ratio), 3)})
    columns = ("cell", "0..500", "equal", "ratio per step")
    report.show(Table("training step, 64 sequences, 64 features", columns, lines))
    return rows


def ctc_loss(rounds: int) -> list[dict[str, object]]:
    """Time the CTC loss and its gradient with respect to the logits beside torch's."""
    lines: list[list[str]] = []
    rows: list[dict[str, object]] = []
    for batch, steps, classes, n_labels in ((32, 200, 30, 40), (32, 500, 80, 100)):
        for dtype in (np.float32, np.float64):
            rng = np.random.default_rng(0)
            logits = rng.standard_normal((batch * steps, classes)).astype(dtype)
            labels = Ragged(rng.integers(1, classes, batch * n_labels), np.full(batch, n_labels))
            each = np.full(batch, steps)
            theirs = torch.from_numpy(logits.reshape(batch, steps, classes)).transpose(0, 1).contiguous()
            targets, sizes = torch.from_numpy(labels.values), torch.from_numpy(labels.lengths)

            def by_torch(theirs=theirs, targets=targets, sizes=sizes, each=each) -> tuple[float, torch.Tensor]:
                leaf = theirs.detach().requires_grad_()
                loss = torch.nn.functional.ctc_loss(
                    leaf.log_softmax(2), targets, torch.from_numpy(each), sizes, reduction="sum"
                )
                (loss / len(each)).backward()
                return loss.item() / len(each), leaf.grad

            def by_elman(logits=logits, labels=labels, each=each) -> tuple[float, float, np.ndarray | None]:
                return ctc(logits, each, labels)

            ours, their_answer = by_elman(), by_torch()
            expected = their_answer[1].transpose(0, 1).reshape(-1, classes)
            check("CTC", ours[2], expected.numpy(), 1e-10 if dtype == np.float64 else 2e-3)  # theirs: logs in float32
            timings = in_turns({"elman": by_elman, "torch": by_torch}, rounds=rounds)
            ratio = timings["torch"].over(timings["elman"])
            name = f"B{batch} T{steps} K{classes} L{n_labels} {np.dtype(dtype)}"
            lines.append([name, *[report.milliseconds(timing) for timing in timings.values()], f"{ratio:.1f}x"])
            rows += [{"ctc": name, "who": who, **timing.as_dict()} for who, timing in timings.items()]
    report.show(Table("CTC, loss and gradient", ("point", "elman", "torch", "ratio"), lines))
    return rows


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", default="mid", choices=list(NAMED))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--name", default="options", help="results/NAME.json")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    elman.set_threads(given.threads)
    rows = options(NAMED[given.point], given.rounds) + lengths(given.rounds) + ctc_loss(given.rounds)
    report.save(given.name, rows)


if __name__ == "__main__":
    main()
