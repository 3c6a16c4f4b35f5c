"""What `import elman` costs and what it leaves alone."""

import json
import os
import subprocess
import sys

import pytest

import elman

OPTIONAL = [
    "matplotlib",
    "sklearn",
    "scipy",
    "torch",
    "onnx",
    "onnxruntime",
    "tokenizers",
    "pooch",
    "optuna",
    "pyarrow",
    "starlette",
]
COMMAND = ["typer", "rich", "click"]


def run(script, *arguments):
    """Run a script in a fresh interpreter and return what it prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *arguments], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def best(measure, limit, *, tries=8):
    """Return the shortest of several measurements, the first below the limit at once: a busy machine only adds time."""
    shortest = float("inf")
    for _ in range(tries):
        shortest = min(shortest, measure())
        if shortest <= limit:
            break
    return shortest


def test_import_takes_at_most_0_2_seconds_beyond_numpy():
    script = "import numpy, time; t = time.perf_counter(); import elman; print(time.perf_counter() - t)"
    assert best(lambda: run(script), 0.2) <= 0.2


def test_all_public_names_together_take_at_most_half_a_second():
    script = (
        "import numpy, time; t = time.perf_counter(); import elman\n"
        "for name in elman.__all__: getattr(elman, name)\n"
        "print(time.perf_counter() - t)"
    )
    assert best(lambda: run(script), 0.5) <= 0.5


def test_help_takes_at_most_0_4_seconds():
    def measure():
        # The clock starts before the interpreter does, as it does for who types the command.
        script = (
            "import subprocess, sys, time; t = time.perf_counter()\n"
            "done = subprocess.run([sys.executable, '-m', 'elman', '--help'], capture_output=True, text=True)\n"
            "assert done.returncode == 0 and 'sample' in done.stdout, done\n"
            "print(time.perf_counter() - t)"
        )
        return run(script)

    assert best(measure, 0.4) <= 0.4


def test_import_alone_loads_neither_optional_packages_nor_the_command():
    found = run("import elman, json, sys; print(json.dumps(sorted(sys.modules)))")
    assert not {*OPTIONAL, *COMMAND} & set(found)
    # Lazy: of the library itself only what every use needs.
    assert [name for name in found if name.startswith("elman.")] == ["elman._version"]


def test_no_public_name_loads_an_optional_package_or_the_command():
    script = (
        "import elman, json, sys\n"
        "for name in elman.__all__: getattr(elman, name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    assert not {*OPTIONAL, *COMMAND} & set(run(script))


def test_every_public_name_is_there_and_others_are_not():
    assert len(set(elman.__all__)) == len(elman.__all__)
    assert all(getattr(elman, name) is not None for name in elman.__all__)
    assert set(elman.__all__) <= set(dir(elman))
    with pytest.raises(AttributeError, match=r"module 'elman' has no attribute 'LTSM'$"):
        elman.LTSM  # noqa: B018
    for name, home in (("LSTM", "layers"), ("EarlyStopping", "callbacks"), ("Cosine", "losses")):
        with pytest.raises(
            AttributeError, match=f"module 'elman' has no attribute '{name}'; it is elman.{home}.{name}"
        ):
            getattr(elman, name)


@pytest.mark.parametrize("door", ["callbacks", "losses", "metrics", "optimizers", "schedules"])
def test_the_doors_can_be_imported_from(door):
    script = (
        f"import json; from elman.{door} import *; import elman, elman.{door} as door\n"
        "print(json.dumps([door is getattr(elman, door.__name__.split('.')[-1]), sorted(door.__all__)]))"
    )
    same, names = run(script)
    assert same and names == sorted(getattr(elman, door).__all__)
    assert all(getattr(getattr(elman, door), name) is not None for name in names)


EACH_MODULE = """
import json, os, pkgutil, sys
import elman
wanted = sys.argv[1:]
for name in wanted:
    sys.modules[name] = None  # importing it now fails, as where it is not installed
names = [module.name for module in pkgutil.walk_packages(elman.__path__, "elman.") if module.name != "elman.__main__"]
for loaded in [name for name in sys.modules if name.startswith("elman.") and name != "elman._native"]:
    del sys.modules[loaded]  # but the native core, which names its types once in a process
failed, covered = [], set()
sys.stdout.flush()
import msgspec, numpy  # before the forks, so that each need not
for name in names:
    if name in covered:
        continue
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            __import__(name)
        except BaseException as error:
            print(name, repr(error), file=sys.stderr)
            os._exit(1)
        # Who imports one of these first imports this package first, which then goes the same way as here.
        os.write(write, json.dumps([found for found in sys.modules if found.startswith(name + ".")]).encode())
        os._exit(0)
    os.close(write)
    with open(read, encoding="utf-8") as loaded:
        covered.update(json.loads(loaded.read() or "[]"))
    if os.waitpid(pid, 0)[1]:
        failed.append(name)
print(json.dumps([len(names), failed]))
"""


def test_each_module_can_be_the_first_to_be_imported_without_any_optional_package():
    n_modules, failed = run(EACH_MODULE, *OPTIONAL)
    assert n_modules > 20
    assert failed == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="no /proc here")
def test_import_starts_no_thread_and_takes_no_signal():
    script = """
import json, os, signal
import numpy
def state():
    return [len(os.listdir("/proc/self/task")), [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)]]
before = state()
import elman
for name in elman.__all__:
    getattr(elman, name)
print(json.dumps([before, state()]))
"""
    before, after = run(script)
    assert before == after
