"""Signals while training: the first finishes the batch and keeps the work, the second stops at once."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import elman
from elman.errors import Interrupted
from elman.ops.core import native
from elman.ragged import Ragged
from elman.training.batches import SequenceBatches
from elman.training.callbacks import Callback
from elman.training.loop import fit
from elman.training.optimizers import SGD
from elman.training.signals import Signals


class Parameters:
    """Two numbers that descend."""

    def __init__(self):
        self.flat, self.grads = np.array([3.0, -2.0]), np.zeros(2)
        self.clock = type("Clock", (), {"ticks": 0})()


class Engine:
    """Half the squares of the parameters; calls `during` within each batch."""

    def __init__(self, during=lambda number: None):
        self.parameters, self.during, self.batches = Parameters(), during, 0

    def loss_and_gradients(self, batch, *, state=None, rng=None, observe=None, want_state=True):
        self.batches += 1
        self.during(self.batches)
        self.parameters.grads[:] = self.parameters.flat
        return float(0.5 * (self.parameters.flat**2).sum()), 1.0, None


class Keeper(Callback):
    """Keeps what the parameters are when the work is to be kept."""

    def __init__(self, engine):
        self.engine, self.kept, self.signums = engine, [], []

    def on_interrupt(self, signum):
        self.kept.append(self.engine.parameters.flat.copy())
        self.signums.append(signum)


def batches(n=5):
    x = Ragged.from_dense(np.zeros((n, 2, 1)))
    return SequenceBatches(x, np.zeros((n, 1)), batch_size=1, per_step=False)


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture(autouse=True)
def handlers_are_put_back():
    before = {number: signal.getsignal(number) for number in Signals.WATCHED}
    yield
    assert {number: signal.getsignal(number) for number in Signals.WATCHED} == before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_finishes_the_batch_and_keeps_the_work(number, code):
    engine = Engine(during=lambda n: send(number) if n == 3 else None)
    keeper = Keeper(engine)
    with pytest.raises(Interrupted) as caught:
        fit(engine, batches(), SGD(0.5), epochs=2, callbacks=[keeper])
    assert engine.batches == 3  # no batch more
    # Three whole steps of halving, the third one included.
    np.testing.assert_array_equal(engine.parameters.flat, [3 / 8, -2 / 8])
    np.testing.assert_array_equal(keeper.kept, [[3 / 8, -2 / 8]])
    assert keeper.signums == [number]
    assert caught.value.signum == number and caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)


def test_the_second_signal_stops_at_once():
    def twice(n):
        if n == 2:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            raise AssertionError("the batch went on after the second signal")

    engine = Engine(during=twice)
    keeper = Keeper(engine)
    with pytest.raises(Interrupted) as caught:
        fit(engine, batches(), SGD(0.5), callbacks=[keeper])
    assert caught.value.signum == signal.SIGTERM
    assert keeper.kept == []


def test_a_second_signal_while_the_work_is_kept_stops_at_once():
    engine = Engine(during=lambda n: send(signal.SIGINT) if n == 2 else None)

    class Slow(Keeper):
        def on_interrupt(self, signum):
            send(signal.SIGINT)
            raise AssertionError("saving went on after the second signal")

    with pytest.raises(Interrupted):
        fit(engine, batches(), SGD(0.5), callbacks=[Slow(engine)])


def test_a_signal_during_validation_ends_it_early():
    engine = Engine()
    keeper = Keeper(engine)
    asked = []

    def validate(stopped):
        asked.append(stopped())
        send(signal.SIGINT)
        asked.append(stopped())
        return {"val_loss": 1.0}

    with pytest.raises(Interrupted):
        fit(engine, batches(), SGD(0.5), epochs=3, callbacks=[keeper], validate=validate)
    assert asked == [False, True] and engine.batches == 5 and len(keeper.kept) == 1


def test_a_signal_while_the_last_callback_runs_is_not_lost():
    class Late(Keeper):
        def on_train_end(self, logs):
            send(signal.SIGINT)

    engine = Engine()
    keeper = Late(engine)
    with pytest.raises(Interrupted):
        fit(engine, batches(), SGD(0.5), callbacks=[keeper])
    assert len(keeper.kept) == 1


def test_a_failure_to_save_is_raised_and_handlers_are_put_back():
    class Full(Callback):
        def on_interrupt(self, signum):
            raise OSError("no space left")

    engine = Engine(during=lambda n: send(signal.SIGINT) if n == 2 else None)
    with pytest.raises(OSError, match="no space left"):
        fit(engine, batches(), SGD(0.5), callbacks=[Full()])


def test_handlers_of_the_application_are_left_alone():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        fit(Engine(during=lambda n: send(signal.SIGTERM) if n == 1 else None), batches(), SGD(0.5))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_ignored_signals_stay_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        fit(Engine(during=lambda n: send(signal.SIGINT)), batches(), SGD(0.5))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_training_in_another_thread_touches_no_handler():
    before, seen, errors = signal.getsignal(signal.SIGINT), [], []

    def train():
        try:
            fit(Engine(during=lambda n: seen.append(signal.getsignal(signal.SIGINT))), batches(), SGD(0.5))
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=train)
    thread.start()
    thread.join(10)
    assert errors == [] and seen == [before] * 5


def test_a_process_ends_within_a_second_of_ctrl_c():
    script = """
        import sys, numpy as np, elman
        from elman import layers, training
        class Keep(training.Callback):
            def on_batch_end(self, batch, logs):
                if batch == 5: print("ready", flush=True)
            def on_interrupt(self, signum): print("kept", signum, flush=True)
        rng = np.random.default_rng(0)
        x = rng.normal(size=(4000, 20, 4))
        model = elman.Sequential([layers.LSTM(32), layers.Dense(1)])
        model.compile("sgd", "mse")
        try:
            model.fit(x, x.sum((1, 2)), epochs=10**6, batch_size=8, verbose=0, callbacks=[Keep()])
        except elman.errors.Interrupted as stop:
            sys.exit(stop.exit_code)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    try:
        assert process.stdout.readline() == "ready\n"
        began = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        out, _ = process.communicate(timeout=20)
        seconds = time.perf_counter() - began
    finally:
        process.kill()
    # Later "ready" lines, one per epoch, may stand before it.
    assert out.splitlines()[-1] == f"kept {int(signal.SIGTERM)}"
    assert process.returncode == 143
    assert seconds < 5  # measured 0.1; the machine may be busy


@pytest.mark.skipif(native is None, reason="only the native core lets handlers run in mid-batch")
def test_a_handler_that_predicts_in_mid_batch_changes_nothing():
    rng = np.random.default_rng(0)
    model = elman.Sequential([elman.layers.LSTM(256)])
    model.build(4, rng=0)
    x, small = rng.standard_normal((2, 40_000, 4)), rng.standard_normal((3, 50, 4))
    expected, expected_small = model.predict(x), model.predict(small)
    seen = []
    before = signal.signal(signal.SIGALRM, lambda *_: seen.append(model.predict(small)))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
        got = model.predict(x, batch_size=2)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert seen
    np.testing.assert_array_equal(got, expected)
    for answer in seen:
        np.testing.assert_array_equal(answer, expected_small)


def test_a_second_interrupt_stops_the_command_at_once(tmp_path):
    # Saving hangs, as on a network that is gone: the first Ctrl-C waits for it, the second one must not.
    code = (
        "import sys, time\n"
        "from elman.cli.main import main\n"
        "from elman.tasks import LanguageModel\n"
        "def hang(self, path):\n"
        "    print('saving', flush=True)\n"
        "    time.sleep(600)\n"
        "LanguageModel.save = hang\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    text, model = tmp_path / "text.txt", tmp_path / "m.elman"
    text.write_text("To be, or not to be: that is the question.\n" * 30)
    words = ["train", "text", str(text), "-o", str(model), "--epochs", "1", "--hidden", "8", "--layers", "1"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline() == "saving\n"
        process.send_signal(signal.SIGINT)
        time.sleep(0.3)  # two signals at once would be one
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "" and "Traceback" not in err and "internal error" not in err
    assert not model.exists()
