"""What bad input and bad luck get: the table of `faults.py`, and what is a behaviour rather than a message.

Every call of the table must raise the error and the whole message that stand there, and leave models, files and arrays
as they were, to the bit. Other faults stand with what they are about: sequences one by one, empty ones (3, 4), copies
and threads on one model (43) in test_model, gradients that are not finite (39) in test_training and test_fit,
exceptions of callbacks (42) in test_training and test_callbacks, files in test_file_faults and test_durable.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import subprocess
import sys
import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from faults import CALLS, DOORS, INPUTS, STATES, STEPS, TARGETS, F, X, Y, classifier, make_world, model_of

import elman
from elman import errors, layers, losses
from elman.errors import DivergedError, ElmanError, ResourceError
from elman.model.memory import batch_bytes
from elman.ops.core import native
from elman.ragged import Ragged, as_ragged
from elman.training.optimizers import SGD, Adam

TIMEOUT = 60  # seconds; a pool of threads that was not begun anew in a child would hang for ever

# What people already catch, and what a command returns.
BUILTINS = {
    errors.DataError: (ValueError, 3),
    errors.DataTypeError: (TypeError, 3),
    errors.UsageError: (ValueError, 2),
    errors.MissingFileError: (FileNotFoundError, 2),
    errors.NotFittedError: (ValueError, 2),
    errors.ResourceError: (MemoryError, 6),
    errors.SaveError: (OSError, 6),
    errors.DivergedError: (FloatingPointError, 5),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture
def untouched(world):
    """Give the world, and compare everything in it afterwards."""
    before = world.state()
    yield world
    after = world.state()
    assert [name for name in before if after[name] != before[name]] == []


def refused(call, kind, message):
    """Assert that a call raises this error with this message, in which "…" stands for anything."""
    with np.errstate(all="ignore"), pytest.raises(ElmanError) as caught:
        call()
    builtin, exit_code = BUILTINS[kind]
    assert type(caught.value) is kind and isinstance(caught.value, builtin) and caught.value.exit_code == exit_code
    pattern = re.escape(message).replace("…", ".+")
    assert re.fullmatch(pattern, str(caught.value), re.DOTALL), f"\n{caught.value}\n{message}"


@pytest.mark.parametrize("case", INPUTS)
def test_sequences(untouched, case):
    """Every door of a model refuses them in the same words, under its own name."""
    x, options, kind, message = INPUTS[case]
    for name, door in DOORS.items():
        if name == "fit, validation_data" and options:
            continue  # they are said of the other x
        refused(lambda door=door: door(untouched.fitted, x, Y, **options), kind, f"{name}: {message}")
    if not case.startswith(("43", "10")):  # a model that is not built takes what features there are
        refused(lambda: untouched.new.fit(x, Y, **options), kind, f"fit: {message}")


@pytest.mark.parametrize("case", TARGETS)
def test_targets_and_weights(untouched, case):
    which, x, y, options, kind, message = TARGETS[case]
    model = getattr(untouched, which)
    for name, door in DOORS.items():
        if name == "fit, validation_data" and (options or which != "fitted"):
            continue
        if name != "predict":
            refused(lambda door=door: door(model, x, y, **options), kind, f"{name}: {message}")


@pytest.mark.parametrize("case", STATES)
def test_states(untouched, case):
    state, kind, message = STATES[case]
    model = untouched.steps
    refused(lambda: model.predict(X, state=state), kind, f"predict: {message}")
    refused(lambda: model.gradients(X, STEPS, state=state), kind, f"gradients: {message}")


@pytest.mark.parametrize("case", CALLS)
def test_calls(untouched, case):
    call, kind, message = CALLS[case]
    refused(lambda: call(untouched), kind, message)


def test_the_table_is_read_to_the_end():
    """An ellipsis that stood for everything would let any message through."""
    messages = [row[-1] for table in (INPUTS, TARGETS, STATES, CALLS) for row in table.values()]
    assert len(messages) > 240 and all(len(message.replace("…", "")) > 20 for message in messages)


# --- 5: one of everything, and very many ----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 4), (3, 1, 2), (1, 9, 1), (1, 100_000, 1)])
@pytest.mark.parametrize("per_step", [True, False])
def test_single_steps_sequences_features_and_units_and_long_sequences_work(rng, shape, per_step):
    model = model_of(layers.GRU(1, return_sequences=per_step), layers.Dense(1), loss="mse")
    x = rng.normal(size=shape)
    y = rng.normal(size=(*shape[:2], 1) if per_step else (shape[0], 1))
    history = model.fit(x, y, verbose=0, batch_size=1)
    assert model.predict(x).shape == y.shape and np.isfinite(history.batches).all()


# --- 11: nothing to tell apart --------------------------------------------------------------------------------------


def test_one_class_is_learned_and_batches_in_which_nothing_counts_have_no_loss():
    model = model_of(layers.LSTM(6), layers.Dense(3))
    model.compile(Adam(0.05), "cross_entropy")
    weights = np.array([1.0, 0, 0, 1, 1, 1])
    with pytest.warns(RuntimeWarning, match="no target has a weight above zero"):
        history = model.fit(X, np.ones(6, int), epochs=40, batch_size=1, sample_weight=weights, verbose=0, rng=0)
    assert np.isfinite(history.batches).all() and np.isfinite(history.history["loss"]).all()
    assert (model.predict(X).argmax(1) == 1).all()


@pytest.mark.parametrize("loss", ["mae", "cosine", "binary_crossentropy", losses.CrossEntropy(0.1)])
def test_a_batch_in_which_nothing_counts_has_no_loss_and_spoils_no_figure(loss):
    model = classifier(loss, metrics="accuracy")
    y = Y if loss == losses.CrossEntropy(0.1) else np.eye(3)[Y]
    with pytest.warns(RuntimeWarning, match="no target has a weight above zero"):
        figures = model.fit(X, y, sample_weight=[0, 0, 1, 0, 2, 0], batch_size=1, shuffle=False, verbose=0, rng=0)
    assert figures.batches[[0, 1, 3, 5]].tolist() == [0, 0, 0, 0] and figures.batches[[2, 4]].all()
    assert np.isfinite(figures.history["loss"]).all() and np.isfinite(figures.history["accuracy"]).all()


@pytest.mark.parametrize("loss", ["mse", "huber", "categorical_crossentropy"])
def test_constant_targets_are_learned(loss):
    model = model_of(layers.GRU(6), layers.Dense(2))
    model.compile(Adam(0.05), loss)
    history = model.fit(X, np.tile([0.0, 1.0], (6, 1)), epochs=30, verbose=0, rng=0)
    assert history.history["loss"][-1] < 0.2 * history.history["loss"][0]


# --- 13 to 16: arrays of every make ---------------------------------------------------------------------------------


def memory_mapped(array, folder):
    np.save(folder / "x.npy", array)
    return np.load(folder / "x.npy", mmap_mode="r")


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


# name -> how the same numbers may lie in memory (the second argument is a folder)
LAYOUTS = {
    "fortran": lambda a, _: np.asfortranarray(a),
    "every second": lambda a, _: np.repeat(a, 2, axis=1)[:, ::2],
    "negative strides": lambda a, _: a[::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1],
    "transposed": lambda a, _: np.ascontiguousarray(a.swapaxes(0, 1)).swapaxes(0, 1),
    "broadcast": lambda a, _: np.broadcast_to(a[:1], a.shape),
    "unaligned": lambda a, _: np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape),
    "read-only": lambda a, _: read_only(a),
    "memory-mapped": memory_mapped,
    "big-endian": lambda a, _: a.astype(a.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(world, layout, dtype, tmp_path, rng):
    """However it lies in memory: the same bits as a plain copy, and the caller's array as it was."""
    plain = rng.integers(-100, 100, (3, 4, F)).astype(dtype)
    if dtype != "int64":
        plain += rng.random(plain.shape).astype(dtype)
    x = LAYOUTS[layout](plain, tmp_path)
    before, copied = x.tobytes(), np.array(x, dtype)
    batch, expected = (as_ragged(each, where="fit", dtype="float32")[0] for each in (x, copied))
    np.testing.assert_array_equal(batch.values, expected.values)
    assert batch.values.flags.c_contiguous and batch.values.dtype == np.float32 and batch.values.dtype.isnative
    ids = abs(x[:, :, 0].astype(x.dtype if dtype == "int64" else np.int64))
    np.testing.assert_array_equal(as_ragged(ids, where="fit", dtype="float32")[0].values, np.array(ids).reshape(-1))
    y = rng.integers(0, 3, 3)
    np.testing.assert_array_equal(world.fitted.predict(x), world.fitted.predict(copied))
    assert world.fitted.evaluate(x, y) == world.fitted.evaluate(copied, y)
    for name, gradient in world.fitted.gradients(x, y)[1].items():
        np.testing.assert_array_equal(gradient, world.fitted.gradients(copied, y)[1][name])
    assert x.tobytes() == before


@pytest.mark.parametrize("layout", ["fortran", "every second", "unaligned", "read-only", "big-endian"])
def test_layouts_of_targets_and_weights(world, layout, tmp_path):
    y = LAYOUTS[layout](STEPS, tmp_path)
    weights = LAYOUTS[layout](abs(STEPS[:, :, :1]), tmp_path)
    expected = world.steps.gradients(X, STEPS, sample_weight=abs(STEPS[:, :, :1]))
    loss, gradients, _ = world.steps.gradients(X, y, sample_weight=weights)
    assert loss == expected[0]
    for name, gradient in gradients.items():
        np.testing.assert_array_equal(gradient, expected[1][name])


@pytest.mark.parametrize("layout", ["fortran", "every second", "unaligned", "read-only", "big-endian"])
def test_layouts_of_states(world, layout, tmp_path, rng):
    part = rng.random((6, 1, 3)).astype(np.float32)
    expected = world.steps.predict(X, state=((part[:, 0], part[:, 0]), ()))
    odd = LAYOUTS[layout](part, tmp_path)[:, 0]
    np.testing.assert_array_equal(world.steps.predict(X, state=((odd, odd), ())), expected)


def test_big_endian_weights_are_saved_as_any_others(world, tmp_path):
    model = classifier(metrics=["accuracy"])
    model.build(F)
    saved = []
    for kind in ("<f4", ">f4"):
        model.set_weights([weight.astype(kind) for weight in world.fitted.get_weights()])
        model.save(tmp_path / "m.elman")
        saved.append((tmp_path / "m.elman").read_bytes())
    assert saved[0] == saved[1]
    np.testing.assert_array_equal(elman.load(tmp_path / "m.elman").predict(X), world.fitted.predict(X))


def test_a_read_only_array_is_no_place_for_a_result():
    batch = Ragged(np.arange(8.0).reshape(4, 2), [3, 1])
    for one in (batch, Ragged.from_dense(batch.values[None])):
        with pytest.raises(ValueError, match="read-only"):
            one.reverse(out=read_only(batch.values))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", "int8", "uint64", "bool", "object"])
def test_numbers_of_every_kind_become_the_dtype(dtype):
    x = np.array([[[0, 1], [1, 0]]]).astype(dtype)
    for target in (np.float32, np.float64):
        batch, _ = as_ragged(x, where="fit", dtype=target)
        assert batch.dtype == target
        np.testing.assert_array_equal(batch.values, [[0, 1], [1, 0]])


def test_objects_that_are_numbers():
    x = [[[Decimal("0.5"), Fraction(1, 4), 3, np.float32(2)]]]
    np.testing.assert_array_equal(as_ragged(x, where="fit", dtype="float32")[0].values, [[0.5, 0.25, 3, 2]])


def test_arrays_of_arrays_are_lists(world):
    """As older data sets come: an object array that holds sequences of several lengths."""
    parts, y = [X[0], X[1, :2], X[2, :4]], [STEPS[0], STEPS[1, :2], STEPS[2, :4]]

    def held(arrays):
        array = np.empty(len(arrays), object)
        array[:] = arrays
        return array

    for got, expected in zip(world.steps.predict(held(parts)), world.steps.predict(parts), strict=True):
        np.testing.assert_array_equal(got, expected)
    assert world.steps.evaluate(held(parts), held(y)) == world.steps.evaluate(parts, y)
    ids = held([[1, 2, 3], [4], [5, 6]])
    np.testing.assert_array_equal(world.ids.predict(ids), world.ids.predict(list(ids)))


@pytest.mark.parametrize("name", ["fit", "evaluate", "gradients", "train_on_batch", "predict"])
def test_an_argument_that_is_not_there_is_refused_in_the_name_of_the_call(untouched, name):
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'weights'"):
        DOORS[name](untouched.fitted, X, Y, weights=Y)


# --- 18: an array that changes under training -----------------------------------------------------------------------


def test_an_array_that_another_thread_writes_gives_any_values_but_no_other_harm():
    x = np.ones((64, 40, F), np.float32)  # of the model's dtype: it is used without a copy
    stop = threading.Event()

    def scribble():
        value = 0
        while not stop.is_set():
            value = (value + 1) % 7
            x[:] = value

    thread = threading.Thread(target=scribble)
    model = model_of(layers.LSTM(16, return_sequences=True), layers.Dense(1), loss="mse")
    thread.start()
    try:
        history = model.fit(x, np.zeros((64, 40, 1)), epochs=5, batch_size=16, verbose=0, rng=0)
        assert model.predict(x).shape == (64, 40, 1)
    finally:
        stop.set()
        thread.join(TIMEOUT)
    assert len(history.batches) == 20 and np.isfinite(history.batches).all() and not thread.is_alive()


# --- 19, 41: memory -------------------------------------------------------------------------------------------------


def test_a_large_batch_is_announced(capsys, monkeypatch):
    monkeypatch.setattr("elman.model.memory._WORTH_SAYING", 1000)
    model = model_of(layers.GRU(3), layers.Dense(1), loss="mse")
    x, y = [np.ones((n, 2)) for n in (5, 1, 7, 3)], np.zeros((4, 1))
    model.fit(x, y, batch_size=2, rng=0)
    # 7 + 5 steps; GRU: h, twice four blocks, dx; Dense: y and its gradient; 4 bytes each.
    assert "a batch of 12 steps holds about 0.0 GB" in capsys.readouterr().err
    assert batch_bytes(model.layers, input_size=2, n_steps=12, itemsize=4) == 12 * 4 * ((1 + 8) * 3 + 2 + 2)
    model.fit(x, y, batch_size=2, verbose=0)
    assert capsys.readouterr().err == ""


def test_more_than_memory_is_refused_before_anything_is_made():
    model = model_of(layers.LSTM(65_536), layers.Dense(1), loss="mse")
    x = np.zeros((1, 400_000, 1), np.float32)
    tracemalloc.start()
    try:
        with pytest.raises(ResourceError):
            model.fit(x, [1.0])
        assert tracemalloc.get_traced_memory()[1] < 20e6 and not model.built  # x once as truth values
    finally:
        tracemalloc.stop()


SCARCE = """
import pickle, resource, sys
import numpy as np
import elman
from elman import layers

def state(model):
    return pickle.dumps((model.config(), model.get_weights(), model.optimizer))

rng = np.random.default_rng(0)
model = elman.Sequential([layers.LSTM(64, return_sequences=True), layers.Dense(2)])
model.compile("adam", "mse")
small, large = (rng.standard_normal((n, 20, 8)).astype(np.float32) for n in (8, 20_000))
model.fit(small, small[:, :, :2], verbose=0, rng=0)
before, used = state(model), int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
hard = resource.getrlimit(resource.RLIMIT_AS)[1]
resource.setrlimit(resource.RLIMIT_AS, (used + 60 * 2**20, hard))
calls = {
    "predict": lambda: model.predict(large, batch_size=20_000),
    "evaluate": lambda: model.evaluate(large, large[:, :, :2], batch_size=20_000),
    "gradients": lambda: model.gradients(large, large[:, :, :2]),
    "train_on_batch": lambda: model.train_on_batch(large, large[:, :, :2]),
    "fit": lambda: model.fit(large, large[:, :, :2], batch_size=20_000, verbose=0),
}
for name, call in calls.items():
    try:
        call()
    except MemoryError:
        print(name, "MemoryError", state(model) == before)
    else:
        print(name, "had enough")
resource.setrlimit(resource.RLIMIT_AS, (hard, hard))
print(len(model.fit(large, large[:, :, :2], batch_size=20_000, verbose=0).batches))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits the memory of a process as Linux does")
def test_where_memory_ends_the_model_is_as_it_was_and_goes_on_when_there_is_more():
    done = subprocess.run([sys.executable, "-c", SCARCE], capture_output=True, text=True, timeout=TIMEOUT)
    assert done.returncode == 0, done.stderr
    calls = ["predict", "evaluate", "gradients", "train_on_batch", "fit"]
    assert done.stdout.splitlines() == [*(f"{name} MemoryError True" for name in calls), "1"]


# --- 39: divergence -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["mse", "huber", "binary_crossentropy"])
def test_a_loss_that_explodes_is_told_and_the_parameters_before_it_come_back(rng, loss):
    model = model_of(layers.GRU(6), layers.Dense(1))
    model.compile(SGD(1e38), loss)
    with pytest.raises(DivergedError, match="Lower learning_rate"), np.errstate(all="ignore"):
        model.fit(rng.normal(size=(8, 3, F)), rng.integers(0, 2, 8), epochs=40, batch_size=4, verbose=0, rng=0)
    assert np.isfinite(model.parameters.flat).all()


# --- 40: other processes --------------------------------------------------------------------------------------------


def trained(seed, threads=None):
    """Fit a model that is large enough for several threads, and predict with it; say how many threads were begun."""
    if threads is not None:
        elman.set_threads(threads)
    before = n_threads()
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 12, 8)).astype(np.float32)
    model = model_of(layers.LSTM(48), layers.Dense(2), loss="mse")
    model.build(8, rng=seed)
    model.fit(x, x[:, -1, :2], epochs=2, batch_size=64, shuffle=False, verbose=0)
    return model.predict(x), elman.show_config()["threads"], n_threads() - before


def n_threads():
    return len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 0


@pytest.fixture
def running_pool():
    """Have the parent's threads running before any child is made."""
    before = elman.show_config()["threads"]
    elman.set_threads(2)
    trained(9)
    yield
    elman.set_threads(before)


@pytest.mark.usefixtures("running_pool")
@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
class TestProcesses:
    def test_two_processes_train_as_this_one_does_on_a_thread_each(self, method, monkeypatch):
        for name in ("ELMAN_NUM_THREADS", "OMP_NUM_THREADS"):
            monkeypatch.delenv(name, raising=False)
        with multiprocessing.get_context(method).Pool(2) as pool:  # leaving it ends the processes
            answers = pool.map_async(trained, range(4), chunksize=1).get(timeout=TIMEOUT)
        for seed, (answer, threads, begun) in enumerate(answers):
            np.testing.assert_array_equal(answer, trained(seed)[0])
            assert (threads, begun) == (1, 0)

    def test_processes_that_ask_for_threads_begin_their_own(self, method):
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
            futures = [pool.submit(trained, seed, threads=2) for seed in range(2)]
            try:
                answers = [future.result(timeout=TIMEOUT) for future in futures]
            except BaseException:
                for process in pool._processes.values():
                    process.kill()
                raise
        for seed, (answer, threads, _) in enumerate(answers):
            np.testing.assert_array_equal(answer, trained(seed)[0])
            assert threads == (2 if native is not None else 1)


def test_a_program_whose_threads_run_ends():
    code = "import test_faults as t, elman; elman.set_threads(2); t.trained(0)"
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, b"")
