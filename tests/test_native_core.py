"""The native core as a part: loading, the door, threads, forks, interrupts, denormals."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import numpy as np
import pytest
from shapes import CELL_VARIANTS, SHAPES, Shape, make_problem

from elman.errors import UsageError
from elman.ops import recurrence
from elman.ops.core import native, set_threads, show_config
from elman.ops.workspace import Workspace, activate


def test_the_native_core_is_loaded() -> None:
    if os.environ.get("ELMAN_REQUIRE_NATIVE") != "1":
        pytest.skip("only where ELMAN_REQUIRE_NATIVE=1 promises it")
    assert native is not None and show_config()["native"] is True


needs_native = pytest.mark.skipif(native is None, reason="the native core is not built")
LARGE = Shape((400,) * 8, 64, 256, "long enough to be interrupted, large enough for all threads")


def forward(problem, workspace: Workspace | None = None) -> np.ndarray:
    with activate(workspace or Workspace()):
        y, _, _ = recurrence.forward(problem.cell, problem.x, problem.weights, state=problem.state, tape=False)
        return y.copy()


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@needs_native
def test_an_unknown_instruction_set_is_refused() -> None:
    done = python("import elman._native", ELMAN_ISA="mmx")
    assert done.returncode != 0
    assert "ELMAN_ISA: this machine or build has no 'mmx', expected avx512bf16, avx512, avx2 or baseline" in done.stderr


@needs_native
def test_the_environment_limits_the_threads() -> None:
    code = "import elman; print(elman.show_config()['threads'])"
    assert python(code, ELMAN_NUM_THREADS="1").stdout.strip() == "1"
    assert python(code, OMP_NUM_THREADS="1").stdout.strip() == "1"
    assert int(python(code, ELMAN_NUM_THREADS="100000").stdout) <= (os.cpu_count() or 1)


def test_without_the_native_core_numpy_serves_and_says_so() -> None:
    hide = "import sys; sys.modules['elman._native'] = None; "
    code = hide + "import elman; print(elman.show_config()['native'])"
    loose = python(code, ELMAN_REQUIRE_NATIVE="0")
    assert loose.stdout.strip() == "False" and loose.stderr.count("RuntimeWarning") == 1
    assert "using NumPy, which is many times slower" in loose.stderr
    strict = python(code, ELMAN_REQUIRE_NATIVE="1")
    assert strict.returncode != 0 and "ELMAN_REQUIRE_NATIVE=1 forbids" in strict.stderr


@needs_native
def test_new_weights_are_packed_when_the_clock_moves_on() -> None:
    problem = make_problem(CELL_VARIANTS["gru"], SHAPES["ragged"])
    workspace = Workspace()
    before = forward(problem, workspace)
    for array in problem.weights.values():
        array *= 0.5
    problem.weights.clock.ticks += 1
    after = forward(problem, workspace)
    assert not np.array_equal(before, after)
    np.testing.assert_array_equal(after, forward(problem))


def _in_child(problem, queue) -> None:
    set_threads(2)  # a child of multiprocessing begins with one
    queue.put(forward(problem))


@needs_native
@pytest.mark.skipif(sys.platform != "linux", reason="forks")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_makes_its_own_threads() -> None:
    problem = make_problem(CELL_VARIANTS["lstm"], LARGE._replace(lengths=(50,) * 8), dtype="float32")
    expected = forward(problem)  # the parent's pool is up
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    children = [context.Process(target=_in_child, args=(problem, queue)) for _ in range(2)]
    for child in children:
        child.start()
    for _ in children:
        np.testing.assert_array_equal(queue.get(timeout=10), expected)
    for child in children:
        child.join(timeout=10)
        assert child.exitcode == 0
    np.testing.assert_array_equal(forward(problem), expected)


@needs_native
def test_several_python_threads_get_the_same_bits() -> None:
    problem = make_problem(CELL_VARIANTS["gru"], LARGE._replace(lengths=(30, 10, 70) * 4), dtype="float32")
    expected = forward(problem)
    results: list[np.ndarray] = []
    workers = [threading.Thread(target=lambda: results.extend(forward(problem) for _ in range(10))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert len(results) == 40
    for result in results:
        np.testing.assert_array_equal(result, expected)


@needs_native
def test_other_python_threads_run_meanwhile() -> None:
    problem = make_problem(CELL_VARIANTS["lstm"], LARGE._replace(lengths=(4000,) * 8), dtype="float64")
    ticks: list[float] = []
    stop = threading.Event()

    def count() -> None:
        while not stop.wait(0.002):
            ticks.append(time.perf_counter())

    counter = threading.Thread(target=count)
    counter.start()
    start = time.perf_counter()
    forward(problem)
    end = time.perf_counter()
    stop.set()
    counter.join()
    during = sum(start < tick < end for tick in ticks)
    assert during >= 0.05 * (end - start) / 0.002, f"{during} ticks in {end - start:.2f} s"


@needs_native
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_a_signal_handler_that_raises_ends_a_long_run() -> None:
    shape = LARGE._replace(lengths=(30_000,) * 4, hidden_size=128, input_size=4)
    problem = make_problem(CELL_VARIANTS["lstm"], shape, dtype="float64")
    timer = threading.Timer(0.15, os.kill, (os.getpid(), signal.SIGINT))
    start = time.perf_counter()
    timer.start()
    workspace = Workspace()
    with pytest.raises(KeyboardInterrupt):
        forward(problem, workspace)
    assert time.perf_counter() - start < 1.0
    short = problem._replace(x=problem.x.window(0, 200))  # the same weights, so the same kernel: it is well again
    np.testing.assert_array_equal(forward(short, workspace), forward(short))


@needs_native
def test_denormals_are_zero_inside_and_alive_outside() -> None:
    tiny = np.full(64, 1e-40, np.float32)
    y = np.empty_like(tiny)
    native.elementwise("tanh", tiny, y)
    assert (y == 0).all()
    assert (tiny * np.float32(1) > 0).all()


# A cell, how many gates it has, and its extra parameters in blocks of 4: I=3, H=4, and P=2 where it is projected.
KERNELS = {
    "rnn": (1, ()),
    "lstm": (4, ()),
    "lstm+peephole": (4, (3,)),
    "lstm+norm": (4, (4, 4, 1, 1, 4)),
    "gru": (3, (1,)),
    "gru+before": (3, ()),
}


def _kernel(cell: str, /, *, projected: bool = False, **change):
    """Make a kernel of I=3, H=4, with arguments exchanged."""
    rng = np.random.default_rng(0)
    gates, extras = KERNELS[cell]
    rows = 4 * gates
    arguments = {
        "cell": cell,
        "activation": "tanh",
        "gate_activation": "sigmoid",
        "weight_ih": rng.random((rows, 3)),
        "weight_hh": rng.random((rows, 2 if projected else 4)),
        "weight_hr": rng.random((2, 4)) if projected else None,
        "bias": None if cell.endswith("+norm") else rng.random(rows),
        "extras": [rng.random(4 * blocks) for blocks in extras],
    }
    return native.Recurrence64(**{**arguments, **change})


NO_NOISE = {"h_mask": None, "zone_h": None, "zone_h_mean": 0.0, "zone_c": None, "zone_c_mean": 0.0}


def _with_masks(call, **arguments):
    """Call with the noise put together, as the kernel takes it."""
    return call(masks=tuple(arguments.pop(name) for name in NO_NOISE), **arguments)


def _forward(**change):
    """A valid native call of an LSTM with I=3, H=4, lengths (2, 1), with arguments exchanged."""
    rng = np.random.default_rng(0)
    arguments = {
        "tick": 0,
        "x": rng.random((3, 3)),
        "ids": None,
        "lengths": np.array([2, 1]),
        "h0": None,
        "c0": None,
        **NO_NOISE,
        "y": np.empty((3, 4)),
        "h_last": np.empty((2, 4)),
        "c_last": np.empty((2, 4)),
        "gates": None,
        "cells": None,
    }
    _with_masks(_kernel("lstm").forward, **{**arguments, **change})


READ_ONLY = np.empty((3, 4))
READ_ONLY.flags.writeable = False
# 4 units are one vector of the tape.
LANES = 1 if native is None else _kernel("lstm").cell_width


@needs_native
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({}, None, None),
        ({"x": np.ones((3, 2))}, ValueError, r"native core: x has the wrong shape, expected \(3, 3\), got \(3, 2\)"),
        ({"x": np.ones((4, 3))}, ValueError, r"x has the wrong shape, expected \(3, 3\), got \(4, 3\)"),
        ({"x": np.ones((3, 3), np.float32)}, TypeError, "incompatible function arguments"),
        ({"x": np.ones((3, 3)).T[::1].copy().T}, TypeError, "incompatible function arguments"),
        ({"x": np.ones(27).reshape(3, 9)[:, ::3]}, TypeError, "incompatible function arguments"),
        ({"x": None}, ValueError, "either x or ids must be given"),
        ({"ids": np.array([0, 1, 2])}, ValueError, "either x or ids must be given"),
        ({"x": None, "ids": np.array([0, 1, 3])}, ValueError, "expected 0 to 2, got 3 at position 2"),
        ({"x": None, "ids": np.array([0, -1, 2])}, ValueError, "expected 0 to 2, got -1 at position 1"),
        (
            {"x": None, "ids": np.array([0, 1], np.int64)},
            ValueError,
            r"ids has the wrong shape, expected \(3,\), got \(2,\)",
        ),
        ({"lengths": np.array([4, -1])}, ValueError, "lengths must not be negative"),
        ({"lengths": np.array([[2, 1]])}, ValueError, "lengths must be a vector"),
        ({"lengths": np.array([2**62, 2**62])}, MemoryError, None),
        ({"lengths": np.array([2**62, 1])}, ValueError, "x has the wrong shape"),
        ({"h0": np.ones((1, 4))}, ValueError, r"h0 has the wrong shape, expected \(2, 4\), got \(1, 4\)"),
        ({"c0": np.ones((2, 5))}, ValueError, r"c0 has the wrong shape, expected \(2, 4\), got \(2, 5\)"),
        ({"h_mask": np.ones((3, 4))}, ValueError, r"h_mask has the wrong shape, expected \(2, 4\), got \(3, 4\)"),
        ({"h_mask": np.ones(4)}, ValueError, r"h_mask has the wrong shape, expected \(2, 4\), got \(4,\)"),
        ({"h_mask": np.ones((2, 4), np.float32)}, ValueError, "masks are arrays of the weights' type, or None"),
        ({"zone_h": np.ones((6, 4))[::2]}, ValueError, "masks are arrays of the weights' type, or None"),
        ({"zone_h_mean": None}, ValueError, "means of masks are numbers"),
        ({"zone_c": "all"}, ValueError, "masks are arrays of the weights' type, or None"),
        ({"h_mask": np.ones((2, 4)), "zone_h": np.ones((3, 4)), "zone_c": np.ones((3, 4))}, None, None),
        ({"zone_h": np.ones((2, 4))}, ValueError, r"zone_h has the wrong shape, expected \(3, 4\), got \(2, 4\)"),
        ({"zone_c": np.ones((3, 5))}, ValueError, r"zone_c has the wrong shape, expected \(3, 4\), got \(3, 5\)"),
        ({"y": READ_ONLY}, TypeError, "incompatible function arguments"),
        ({"c_last": None}, ValueError, "c_last belongs to cells with a cell state"),
        ({"gates": np.empty((3, 64))}, ValueError, "native core: gates"),
        ({"gates": np.empty((3, 4 * LANES))}, ValueError, "gates and cells are kept together"),
        ({"gates": np.empty((3, 4 * LANES)), "cells": np.empty((3, LANES))}, None, None),
        ({"gates": np.empty((3, 4 * LANES)), "cells": np.empty((3, 4))}, ValueError, "cells has the wrong shape"),
    ],
)
def test_the_door(change, error, message) -> None:
    if error is None:
        _forward(**change)
        return
    with pytest.raises(error, match=message):
        _forward(**change)


def _arguments_backward(cell: str, *, projected: bool = False):
    """A kernel of I=3, H=4 and the arguments of a valid backward call, lengths (2, 1), with every gradient asked."""
    rng = np.random.default_rng(0)
    gates, extras = KERNELS[cell]
    rows, width, lstm = 4 * gates, 2 if projected else 4, cell.startswith("lstm")
    kernel = _kernel(cell, projected=projected)
    return partial(_with_masks, kernel.backward), {
        "tick": 0,
        "dy": rng.random((3, width)),
        "x": rng.random((3, 3)),
        "ids": None,
        "lengths": np.array([2, 1]),
        "h0": rng.random((2, width)),
        "c0": rng.random((2, 4)) if lstm else None,
        "h_mask": rng.random((2, width)),
        "zone_h": rng.random((3, width)),
        "zone_c": rng.random((3, 4)) if lstm else None,
        "zone_h_mean": 0.0,
        "zone_c_mean": 0.0,
        "y": rng.random((3, width)),
        "gates": rng.random((3, kernel.tape_width)),
        "cells": rng.random((3, kernel.cell_width)) if lstm else None,
        "dh_last": rng.random((2, width)),
        "dc_last": rng.random((2, 4)) if lstm else None,
        "dx": np.empty((3, 3)),
        "dh0": np.empty((2, width)),
        "dc0": np.empty((2, 4)) if lstm else None,
        "dh": np.empty((3, width)),
        "d_weight_ih": np.zeros((rows, 3)),
        "d_weight_hh": np.zeros((rows, width)),
        "d_weight_hr": np.zeros((2, 4)) if projected else None,
        "d_bias": None if cell.endswith("+norm") else np.zeros(rows),
        "d_extras": [np.zeros(4 * blocks) for blocks in extras],
    }


def _door(name: str):
    """A function of the native core and arguments that it takes; a layer of 3 inputs and 2 outputs, 5 rows."""
    if name == "projection.backward":
        return _arguments_backward("lstm", projected=True)
    if name.endswith(".backward") and name != "linear.backward":
        return _arguments_backward(name.removesuffix(".backward"))
    if name == "linear.forward":
        layer = native.Linear64(np.ones((2, 3)), np.ones(2))
        return layer.forward, {"tick": 0, "activation": 1, "x": np.ones((5, 3)), "y": np.empty((5, 2))}
    if name == "linear.backward":
        layer = native.Linear64(np.ones((2, 3)), np.ones(2))
        return layer.backward, {
            "tick": 0,
            "activation": native.ACTIVATIONS.index("tanh"),
            "dy": np.ones((5, 2)),
            "x": np.ones((5, 3)),
            "y": np.ones((5, 2)),
            "dz": np.empty((5, 2)),
            "dx": np.empty((5, 3)),
            "d_weight": np.zeros((2, 3)),
            "d_bias": np.zeros(2),
        }
    if name == "cross_entropy":
        return native.cross_entropy, {
            "logits": np.ones((3, 4)),
            "targets": np.array([0, 3, 1]),
            "weights": np.ones(3),
            "scale": 1.0,
            "d_logits": np.empty((3, 4)),
        }
    if name == "add_rows":
        return native.add_rows, {"ids": np.array([0, 3]), "dy": np.ones((2, 3)), "d_weight": np.zeros((4, 3))}
    if name == "sum_of_squares":
        return native.sum_of_squares, {"x": np.ones(5)}
    if name == "elementwise":
        return native.elementwise, {"function": "tanh", "x": np.ones(5), "y": np.empty(5)}
    options = {"beta_1": 0.9, "beta_2": 0.99, "root_correction": 0.3, "epsilon": 1e-8, "step_size": 1e-3}
    return native.adam, {name: np.ones(5) for name in ("flat", "grads", "m", "v")} | options


DOORS = (
    *[f"{cell}.backward" for cell in KERNELS],
    "projection.backward",
    "linear.forward",
    "linear.backward",
    "cross_entropy",
    "add_rows",
    "adam",
    "sum_of_squares",
    "elementwise",
)
# Each is larger than what fits: a check that is gone shows as no error, not as a write past the end.
WRONG_SHAPES = [
    ("lstm.backward", "x", (4, 3)),
    ("lstm.backward", "h0", (3, 4)),
    ("lstm.backward", "c0", (3, 4)),
    ("lstm.backward", "dy", (4, 4)),
    ("lstm.backward", "y", (3, 5)),
    ("lstm.backward", "gates", (3, 256)),
    ("lstm.backward", "cells", (3, 64)),
    ("lstm.backward", "dh_last", (3, 4)),
    ("lstm.backward", "dc_last", (3, 4)),
    ("lstm.backward", "dx", (3, 4)),
    ("lstm.backward", "dh0", (3, 4)),
    ("lstm.backward", "dc0", (3, 4)),
    ("lstm.backward", "dh", (4, 4)),
    ("lstm.backward", "d_weight_ih", (16, 4)),
    ("lstm.backward", "d_weight_hh", (17, 4)),
    ("lstm.backward", "d_bias", (17,)),
    ("lstm.backward", "h_mask", (3, 4)),
    ("lstm.backward", "zone_h", (4, 4)),
    ("lstm.backward", "zone_c", (4, 4)),
    ("projection.backward", "dy", (3, 4)),
    ("projection.backward", "h0", (2, 4)),
    ("projection.backward", "c0", (2, 8)),
    ("projection.backward", "h_mask", (2, 4)),
    ("projection.backward", "zone_h", (3, 4)),
    ("projection.backward", "y", (3, 4)),
    ("projection.backward", "dh", (3, 4)),
    ("projection.backward", "dh0", (2, 4)),
    ("projection.backward", "dh_last", (2, 4)),
    ("projection.backward", "d_weight_hh", (16, 4)),
    ("projection.backward", "d_weight_hr", (4, 4)),
    ("linear.forward", "x", (5, 4)),
    ("linear.forward", "y", (5, 3)),
    ("linear.backward", "dy", (6, 2)),
    ("linear.backward", "x", (5, 4)),
    ("linear.backward", "y", (6, 2)),
    ("linear.backward", "dz", (6, 2)),
    ("linear.backward", "dx", (5, 4)),
    ("linear.backward", "d_weight", (3, 3)),
    ("linear.backward", "d_bias", (3,)),
    ("cross_entropy", "weights", (4,)),
    ("cross_entropy", "d_logits", (3, 5)),
    ("add_rows", "dy", (2, 4)),
    ("adam", "grads", (6,)),
    ("adam", "m", (6,)),
    ("adam", "v", (6,)),
    ("elementwise", "y", (6,)),
]


@needs_native
@pytest.mark.parametrize("door", DOORS)
def test_the_door_lets_in_what_fits(door: str) -> None:
    call, arguments = _door(door)
    call(**arguments)


@needs_native
@pytest.mark.parametrize(("door", "name", "shape"), WRONG_SHAPES)
def test_the_door_refuses_a_wrong_shape(door: str, name: str, shape: tuple[int, ...]) -> None:
    call, arguments = _door(door)
    with pytest.raises(ValueError, match=f"native core: {name} has the wrong shape, expected "):
        call(**{**arguments, name: np.ones(shape)})


@needs_native
@pytest.mark.parametrize(
    ("door", "change", "message"),
    [
        ("lstm.backward", {"x": None, "ids": np.array([0, 1, 2])}, "token ids have no gradient"),
        ("lstm.backward", {"d_bias": None}, "d_bias belongs to cells with a bias of their own"),
        ("lstm+norm.backward", {"d_bias": np.zeros(16)}, "d_bias belongs to cells with a bias of their own"),
        ("lstm.backward", {"d_weight_hr": np.zeros((2, 4))}, "d_weight_hr belongs to a projection"),
        ("projection.backward", {"d_weight_hr": None}, "d_weight_hr belongs to a projection"),
        ("lstm.backward", {"d_extras": [np.zeros(4)]}, "the extra parameters are not this cell's"),
        ("gru.backward", {"d_extras": []}, "the extra parameters are not this cell's"),
        ("gru.backward", {"d_extras": [np.zeros(8)]}, "the extra parameters are not this cell's"),
        ("gru.backward", {"d_extras": [np.zeros(5)]}, "extra parameters are vectors of whole blocks"),
        ("gru.backward", {"d_extras": [np.zeros((1, 4))]}, "extra parameters are vectors of whole blocks"),
        ("lstm.backward", {"cells": None}, "cells belongs to cells with a cell state"),
        ("gru.backward", {"c0": np.ones((2, 4))}, "c0 belongs to cells with a cell state"),
        ("linear.forward", {"activation": -1}, "no such activation"),
        ("linear.forward", {"activation": 5}, "no such activation"),
        ("linear.forward", {"x": np.ones(15)}, "x must be a matrix"),
        ("linear.backward", {"dz": None}, "dz belongs to layers with an activation"),
        ("linear.backward", {"activation": 0}, "dz belongs to layers with an activation"),
        ("cross_entropy", {"logits": np.ones(12)}, "logits must be a matrix"),
        ("cross_entropy", {"logits": np.ones((3, 0))}, "logits must be a matrix"),
        ("cross_entropy", {"targets": np.array([0, 1, 2, 3])}, r"targets has the wrong shape, expected \(3,\)"),
        (
            "cross_entropy",
            {"targets": np.array([0, 4, 1])},
            "target out of range, expected 0 to 3, got 4 at position 1",
        ),
        ("cross_entropy", {"targets": np.array([0, 1, -1])}, "target out of range, .*, got -1 at position 2"),
        ("add_rows", {"ids": np.array([4, 0])}, "token id out of range, expected 0 to 3, got 4 at position 0"),
        ("add_rows", {"ids": np.array([0, -1])}, "token id out of range, expected 0 to 3, got -1 at position 1"),
        ("add_rows", {"ids": np.array([[0, 1]])}, "ids must be a vector and d_weight a matrix"),
        ("add_rows", {"d_weight": np.zeros(12)}, "ids must be a vector and d_weight a matrix"),
        ("adam", {"flat": np.ones((1, 5))}, "parameters must be a vector"),
        ("sum_of_squares", {"x": np.ones((1, 5))}, "x must be a vector"),
        ("elementwise", {"x": np.ones((1, 5))}, "x must be a vector"),
        ("elementwise", {"function": "cosh"}, "elementwise functions are tanh, sigmoid and exp"),
    ],
)
def test_the_door_refuses_what_cannot_be(door: str, change: dict[str, object], message: str) -> None:
    call, arguments = _door(door)
    with pytest.raises(ValueError, match="native core: " + message):
        call(**{**arguments, **change})


@needs_native
@pytest.mark.parametrize("name", ["x", "lengths"])
def test_the_door_refuses_a_misaligned_array(name: str) -> None:
    call, arguments = _door("lstm.backward")
    fits = arguments[name]
    askew = np.frombuffer(b"\0" + fits.tobytes(), fits.dtype, offset=1).reshape(fits.shape)
    assert not askew.flags.aligned
    with pytest.raises(ValueError, match=f"native core: {name} is not aligned to its element size"):
        call(**{**arguments, name: askew})


@needs_native
def test_a_dense_layer_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="weight must be a matrix"):
        native.Linear64(np.ones(3), np.ones(3))
    with pytest.raises(ValueError, match="sizes must be positive"):
        native.Linear64(np.ones((2, 0)), np.ones(2))
    with pytest.raises(ValueError, match=r"bias has the wrong shape, expected \(2,\), got \(3,\)"):
        native.Linear64(np.ones((2, 3)), np.ones(3))


@needs_native
@pytest.mark.parametrize(
    ("cell", "change", "message"),
    [
        ("lstm", {"weight_hh": np.ones((12, 4))}, r"weight_hh has the wrong shape, expected \(16, 4\), got \(12, 4\)"),
        ("lstm", {"weight_ih": np.ones((12, 3))}, r"weight_ih has the wrong shape, expected \(16, 3\), got \(12, 3\)"),
        ("lstm", {"weight_ih": np.ones(16)}, "weights must be matrices"),
        ("lstm", {"weight_ih": np.ones((16, 0))}, "sizes must be positive"),
        ("lstm", {"bias": np.ones(12)}, r"bias has the wrong shape, expected \(16,\), got \(12,\)"),
        ("lstm", {"bias": None}, "a normalised cell has its bias among the extras"),
        ("lstm+norm", {"bias": np.ones(16)}, "a normalised cell has its bias among the extras"),
        ("lstm", {"extras": [np.ones(4)]}, "the extra parameters are not this cell's"),
        ("gru", {"extras": []}, "the extra parameters are not this cell's"),
        ("lstm+peephole", {"extras": [np.ones(8)]}, "the extra parameters are not this cell's"),
        ("lstm+peephole", {"extras": [np.ones(13)]}, "extra parameters are vectors of whole blocks"),
        ("lstm+peephole", {"extras": [np.ones((3, 4))]}, "extra parameters are vectors of whole blocks"),
        ("lstm+norm", {"extras": [np.ones(16)] * 2}, "the extra parameters are not this cell's"),
        ("lstm", {"activation": "swish"}, "no activation 'swish'"),
        ("lstm", {"gate_activation": "softmax"}, "no activation 'softmax'"),
        ("lstm", {"cell": "lstm+lookahead"}, r"no kernel for cell 'lstm\+lookahead'"),
        (
            "lstm",
            {"weight_hh": np.ones((16, 5)), "weight_hr": np.ones((5, 4))},
            "a projection must not be wider than the cell",
        ),
        ("lstm", {"weight_hr": np.ones((4, 5))}, "weight_ih has the wrong shape"),
        (
            "lstm",
            {"weight_hh": np.ones((16, 2)), "weight_hr": np.ones((3, 4))},
            r"weight_hr has the wrong shape, expected \(2, 4\)",
        ),
        ("gru", {"weight_hr": np.ones((4, 4))}, "a projection belongs to cells with a cell state"),
        ("lstm", {"weight_hr": np.ones(4)}, "weights must be matrices"),
    ],
)
def test_weights_that_do_not_fit_are_refused(cell: str, change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match="native core: " + message):
        _kernel(cell, **change)


@needs_native
@pytest.mark.parametrize("masks", [(), (None,) * 4, (None,) * 6])
def test_the_door_refuses_masks_that_are_not_five(masks: tuple[None, ...]) -> None:
    call, arguments = _door("gru.backward")
    arguments = {name: value for name, value in arguments.items() if name not in NO_NOISE}
    words = "native core: masks are h_mask, zone_h, its mean, zone_c and its mean"
    with pytest.raises(ValueError, match=words):
        call.args[0](masks=masks, **arguments)


@needs_native
def test_a_projection_of_no_dimension_is_refused() -> None:
    with pytest.raises(ValueError, match="native core: weights must be matrices"):
        _kernel("lstm", weight_hr=np.array(1.0))


@needs_native
def test_noise_of_a_cell_state_belongs_to_cells_that_have_one() -> None:
    call, arguments = _door("gru.backward")
    with pytest.raises(ValueError, match="native core: zone_c belongs to cells with a cell state"):
        call(**{**arguments, "zone_c": np.ones((3, 4))})


def test_set_threads_refuses_zero() -> None:
    with pytest.raises(ValueError, match="set_threads"):
        set_threads(0)


@pytest.mark.parametrize("count", [1.5, True, "2", None, 10**20, -(10**20)])
def test_set_threads_refuses_what_is_no_count(count: object) -> None:
    with pytest.raises(UsageError, match=r"set_threads: the number of threads .*, expected an integer from 1 to"):
        set_threads(count)  # type: ignore[arg-type]


def test_set_threads_takes_numpy_integers() -> None:
    before = show_config()["threads"]
    set_threads(np.int64(2))
    set_threads(before)
