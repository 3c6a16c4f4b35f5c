"""Other processes: pools of them may train and predict, whatever the parent has running."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

import elman
from elman import layers

TIMEOUT = 60  # seconds; a pool of threads that was not begun anew in the child would hang for ever


def trained(seed: int) -> np.ndarray:
    """Fit a model that is large enough for several threads, and predict with it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((64, 12, 8)).astype(np.float32)
    model = elman.Sequential([layers.LSTM(48), layers.Dense(2)])
    model.compile("adam", "mse")
    model.build(8, rng=seed)
    model.fit(x, x[:, -1, :2], epochs=2, batch_size=64, shuffle=False, verbose=0)
    return model.predict(x)


@pytest.fixture(autouse=True)
def running_pool():
    """Have the parent's threads running before any child is made."""
    before = elman.show_config()["threads"]
    elman.set_threads(2)
    trained(9)
    yield
    elman.set_threads(before)


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_pool_of_two_processes_trains_as_this_one_does(method):
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        futures = [pool.submit(trained, seed) for seed in range(4)]
        try:
            answers = [future.result(timeout=TIMEOUT) for future in futures]
        except BaseException:
            for process in pool._processes.values():
                process.kill()
            raise
    for seed, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, trained(seed))


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_multiprocessing_pool_trains_as_this_one_does(method):
    with multiprocessing.get_context(method).Pool(2) as pool:  # leaving it ends the processes
        answers = pool.map_async(trained, range(2)).get(timeout=TIMEOUT)
    for seed, answer in enumerate(answers):
        np.testing.assert_array_equal(answer, trained(seed))


def test_a_program_whose_threads_run_ends():
    code = "import test_processes as t, elman; elman.set_threads(2); t.trained(0)"
    folder = os.path.dirname(__file__)
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, timeout=TIMEOUT)
    assert (done.returncode, done.stderr) == (0, b"")


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
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "" and "Traceback" not in err and "internal error" not in err
    assert not model.exists()
