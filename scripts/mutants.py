"""Plant bugs, one at a time; the tests must notice each.

Six classic mistakes of backpropagation through time, each once in Python (a patch to a copy of the package) and once
in C++ (`-DELMAN_MUTANT=k`); those that a cell's options invite; a few of the training step. Shape tests and "the loss
went down" catch none of them.
Prints a table; exits with 1 if a bug survives, or if the tests are red without one.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent


class Patch(NamedTuple):
    """A place in the package and what stands there instead."""

    file: str
    old: str
    new: str


class Mutant(NamedTuple):
    """A planted bug."""

    name: str
    where: str
    patches: tuple[Patch, ...]


CLASSICS = (
    "drop the first step's gradient",
    "start gradients from the weights",
    "use h_t for h_{t-1} in d_weight_hh",
    "forget the gradient through R",
    "swap h0 and c0",
    "store gates f, i for i, f",
)

#: In C++ only, numbered after the classics; `grep ELMAN_MUTANT` finds them.
NATIVE_OPTIONS = (
    "forget recurrent dropout's mask on the way back",
    "lose what zoneout hands to the old cell state",
    "drop the mean from layer norm's gradient",
    "leave every other row out of a weight gradient in bfloat16",
    "begin the way back anew in every block of steps",
)

REFERENCE, BASE, LSTM, GRU = "ops/reference.py", "cells/base.py", "cells/lstm.py", "cells/gru.py"
RECURRENT, BIDIRECTIONAL = "layers/recurrent.py", "layers/bidirectional.py"
LOOP, CTC = "training/run.py", "ops/ctc_reference.py"
OPTIMIZER, ADAM, CLIPPING = (f"training/optimizers/{name}.py" for name in ("base", "adam", "clipping"))
TRUNCATION, LINKS = "training/truncation.py", "training/links.py"
SEGMENTS, NOISE = "engines/segments.py", "ops/noise.py"

CLASSIC_PATCHES = (
    (Patch(REFERENCE, "d_ah[rows] = back.d_ax, back.d_ah", "d_ah[rows] = back.d_ax * (t > 0), back.d_ah"),),
    (Patch(REFERENCE, "_add(cell.weight_of_h(into), ", "_add(cell.weight_of_h(into), weight_h + "),),
    (Patch(REFERENCE, "h_prev = previous(y, x, None if initial is None else initial[0])", "h_prev = y.copy()"),),
    (Patch(REFERENCE, "+= (back.d_ah @ weight_h) * mask", "+= 0 * (back.d_ah @ weight_h)"),),
    (Patch(REFERENCE, "for part in state]", "for part in reversed(state)]"),),
    (
        Patch(LSTM, "zip(a_in, peep", "zip(a_in[::-1], peep"),
        Patch(LSTM, "xp.concat([*d_in, d_g, d_o])", "xp.concat([*d_in[::-1], d_g, d_o])"),
    ),
)  # fmt: skip

OPTIONS = (
    Mutant(
        "forget recurrent dropout's mask on the way back",
        "Python",
        (Patch(REFERENCE, "(back.d_ah @ weight_h) * mask", "back.d_ah @ weight_h"),),
    ),
    Mutant(
        "forget recurrent dropout's mask in d_weight_hh",
        "Python",
        (Patch(REFERENCE, "h_prev *= np.repeat(noise.h_mask, x.lengths, axis=0)", "pass"),),
    ),
    Mutant(
        "forget the mask of the second product on the way back",
        "Python",
        (Patch(REFERENCE, "(d_product @ weight_u) * (mask if cell.operand_is_state else 1)", "d_product @ weight_u"),),
    ),
    Mutant(
        "mask what goes into a projection",
        "Python",
        (Patch(LSTM, '    name = "lstm"', '    name = "lstm"\n    operand_is_state = True'),),
    ),
    Mutant(
        "forget the gradient through what zoneout leaves",
        "Python",
        (Patch(REFERENCE, "stay if value is None else stay + value", "0 if value is None else value"),),
    ),
    Mutant(
        "exchange what zoneout keeps and what it lets in",
        "Python",
        (
            Patch(
                REFERENCE,
                "part + zone * (before - part)",
                "before + zone * (part - before)",
            ),
        ),
    ),
    Mutant(
        "give dropped weights a gradient",
        "Python",
        (Patch(REFERENCE, 'into["weight_hh"] * noise.weight_mask', 'into["weight_hh"]'),),
    ),
    Mutant(
        "forget the gradient of c' through the peephole",
        "Python",
        (Patch(LSTM, "d_c = d_c + d_phi + d_o * peep[-1]", "d_c = d_c + d_phi"),),
    ),
    Mutant(
        "let the output gate see the old cell state",
        "Python",
        (Patch(LSTM, "a_o + peep[-1] * c)", "a_o + peep[-1] * c_prev)"), Patch(LSTM, "d_o * c]", "d_o * c_prev]")),
    ),
    Mutant(
        "forget the input gate that is coupled",
        "Python",
        (Patch(LSTM, "d_c * (c_prev - g) * sigma(f)", "d_c * c_prev * sigma(f)"),),
    ),
    Mutant(
        "forget the mean in the gradient of a norm",
        "Python",
        (Patch(BASE, "d_normal - xp.mean(d_normal) - normal", "d_normal - normal"),),
    ),
    Mutant(
        "add epsilon to the deviation, not to the variance",
        "Python",
        (
            Patch(
                BASE,
                "1 / xp.sqrt(xp.mean(centred * centred) + EPSILON)",
                "1 / (xp.sqrt(xp.mean(centred * centred)) + EPSILON)",
            ),
        ),
    ),
    Mutant(
        "forget the gradient of h through the reset",
        "Python",
        (Patch(GRU, "d_h_prev = d_h_prev + d_u * r", "d_h_prev = d_h_prev + 0 * d_u"),),
    ),
    Mutant(
        "forget the gradient of the learned state",
        "Python",
        (Patch(RECURRENT, "grads[name][:] += part.sum(0)", "grads[name][:] += 0"),),
    ),
    Mutant(
        "forget the mask of the inputs in dx",
        "Python",
        (Patch(RECURRENT, "dx *= np.repeat(tape.x_mask, x.lengths, axis=0)", "pass"),),
    ),
    Mutant(
        "leave the backward layer's dx as it is turned",
        "Python",
        (Patch(BIDIRECTIONAL, "total = _turned(x.with_values(dx_2.values)).values", "total = dx_2.values.copy()"),),
    ),
    Mutant(
        "skip the blank between two equal labels",
        "Python",
        (Patch(CTC, "barred[3::2] = labels[1:] == labels[:-1]", "barred[3::2] = False"),),
    ),
)

TRAINING = (
    Mutant(
        "forget to carry the state", "Python", (Patch(LOOP, "(batch, state=began, rng", "(batch, state=None, rng"),)
    ),
    Mutant(
        "forget Adam's first bias correction",
        "Python",
        (Patch(ADAM, "step_size=rate / (1.0 - self.beta_1**self.age)", "step_size=rate"),),
    ),
    Mutant(
        "clip to another norm than torch",
        "Python",
        (Patch(CLIPPING, "coefficient = max_norm / (norm + 1e-6)", "coefficient = max_norm / norm"),),
    ),
    Mutant(
        "take the rate of the step after",
        "Python",
        (Patch(OPTIMIZER, "rate = self._rate if self.schedule is None else self.schedule(self.steps)",
               "rate = self._rate if self.schedule is None else self.schedule(self.steps + 1)"),),
    ),
    Mutant(
        "forget the gradient of the state at a border",
        "Python",
        (Patch(SEGMENTS, "d_last = d_state[place] or None", "d_last = None"),),
    ),
    Mutant(
        "take the mean over a segment for that over the batch",
        "Python",
        (Patch(SEGMENTS, "np.multiply(d_rows, share, out=d_rows)", "d_rows"),),
    ),
    Mutant(
        "draw the same coins for the steps of every segment",
        "Python",
        (Patch(NOISE, "self.start = start", "self.start = 0"),),
    ),
    Mutant(
        "judge the steps before a window, too",
        "Python",
        (Patch(TRUNCATION, "times >= first - begin", "times >= 0"),),
    ),
    Mutant(
        "begin an overlapping window where the one before ended",
        "Python",
        (Patch(LINKS, "began if self.overlaps else ended", "ended"),),
    ),
)  # fmt: skip


class Verdict(NamedTuple):
    """What the tests said."""

    exit_code: int
    failed: str
    seconds: float


def run_tests(package: Path) -> Verdict:
    """Run the fast subset on the package in a folder, stopping at the first failure."""
    # -S: the editable install's import hook must not come before the folder.
    paths = [package, sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, paths)), "ELMAN_REQUIRE_NATIVE": "1", "CI": "1"}
    where = subprocess.run(
        [sys.executable, "-S", "-c", "import elman; print(elman.__file__)"],
        env=environment, check=True, capture_output=True, text=True,
    )  # fmt: skip
    if not Path(where.stdout.strip()).is_relative_to(package):
        raise RuntimeError(f"the tests would run on {where.stdout.strip()}, not on the copy")
    start = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-S", "-m", "pytest", "-x", "-q", "-m", "mutants", "-p", "no:cacheprovider", "--tb=no"],
        cwd=ROOT, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    if run.returncode not in (0, 1):  # neither green nor red: the tests could not run
        raise RuntimeError(f"pytest exited with {run.returncode}:\n{run.stdout[-3000:]}{run.stderr[-2000:]}")
    failed = re.search(r"^FAILED ([^\s\[]+)", run.stdout, re.MULTILINE)
    return Verdict(run.returncode, failed[1].removeprefix("tests/") if failed else "", time.perf_counter() - start)


def install(folder: Path, build: Path, *, mutant: int = 0) -> Path:
    """Build the package with a C++ mutant into a folder of its own."""
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps",
               "--target", str(folder), "--config-settings", f"build-dir={build}",
               "--config-settings", f"cmake.define.ELMAN_MUTANT={mutant}", str(ROOT)]  # fmt: skip
    run = subprocess.run(command, env=os.environ | {"ELMAN_REQUIRE_NATIVE": "1"}, capture_output=True, text=True)
    if run.returncode:
        raise RuntimeError(f"building mutant {mutant} failed:\n{run.stdout[-3000:]}{run.stderr[-3000:]}")
    return folder


def patched(package: Path, folder: Path, mutant: Mutant) -> Path:
    """Copy the package and plant a bug; a patch that no longer fits is an error, not a pass."""
    shutil.copytree(package, folder)
    for file, old, new in mutant.patches:
        path = folder / "elman" / file
        source = path.read_text(encoding="utf-8")
        if source.count(old) != 1:
            raise RuntimeError(f"{file} has {source.count(old)} times {old!r}; bring the mutant up to date")
        path.write_text(source.replace(old, new), encoding="utf-8")
    return folder


def mutants(control: Path, workshop: Path) -> Iterator[tuple[str, str, Path]]:
    """Yield where, what and the folder of each planted bug."""
    python = [Mutant(name, "Python", patches) for name, patches in zip(CLASSICS, CLASSIC_PATCHES, strict=True)]
    python += [*OPTIONS, *TRAINING]
    # All copies first: a patch that no longer fits is said at once, not after minutes.
    copies = [patched(control, workshop / f"python{k}", mutant) for k, mutant in enumerate(python)]
    for mutant, copy in zip(python, copies, strict=True):
        yield mutant.where, mutant.name, copy
    for number, name in enumerate((*CLASSICS, *NATIVE_OPTIONS), start=1):
        yield "C++", name, install(workshop / f"native{number}", workshop / "build", mutant=number)


def main() -> int:
    """Run everything; return the exit code."""
    console = Console()
    table = Table("where", "planted bug", "tests")
    table.add_column("first to fail", overflow="fold")
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="elman-mutants-") as folder:
        workshop = Path(folder)
        control = install(workshop / "control", workshop / "build")
        verdict = run_tests(control)
        if verdict.exit_code:
            console.print(f"[red]the tests are red without any bug: {verdict.failed}")
            return 1
        table.add_row("", "none (control)", f"[green]green[/], {verdict.seconds:.0f} s", "")
        for where, name, package in mutants(control, workshop):
            console.print(f"{where}: {name} …", highlight=False)
            verdict = run_tests(package)
            survivors += verdict.exit_code == 0
            table.add_row(where, name, "[green]killed[/]" if verdict.exit_code else "[red]SURVIVED[/]", verdict.failed)
    console.print(table)
    console.print(f"{survivors} survived" if survivors else "every planted bug was noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
