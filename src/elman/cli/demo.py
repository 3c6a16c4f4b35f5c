"""`elman demo`: everything once, with no files needed."""

from __future__ import annotations

import math
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from elman.cli.add import lesson
from elman.cli.common import Threads, alone, guarded, make_folder, talk, use_threads
from elman.cli.demo_memory import memory
from elman.errors import UsageError, say

if TYPE_CHECKING:
    from elman.tasks import LanguageModel

__all__ = ["app", "demo"]

_FOLDER = "elman-demo"
_PRIME = "The "


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for models and picture.")] = Path(_FOLDER),
    seconds: Annotated[float, typer.Option(help="How long the character model may train.")] = 60.0,
    seed: Annotated[int, typer.Option(help="Seed of everything drawn.")] = 0,
    threads: Threads = None,
) -> None:
    """See it work: learn to add, then learn to write, in about a minute."""
    from elman.tasks import BinaryAdder

    if not 0 < seconds < math.inf:
        raise UsageError(say("elman demo", "seconds is out of range", expected="more than 0", got=seconds))
    use_threads(threads)
    make_folder(output, "elman demo")
    saved: list[Path] = []
    try:
        _title("1. Learning to add")
        adder = BinaryAdder(random_state=seed)
        lesson(adder)
        adder.save(output / "adder.elman")
        saved.append(output / "adder.elman")

        _title("2. Learning to write, from the manual pages of Python itself")
        model = _train(output / "pydoc.elman", seconds=seconds, seed=seed, saved=saved)
    except KeyboardInterrupt:
        _tell_stopped(output, saved)
        raise
    picture = _draw(model, output / "training-curve.png")

    _title("3. What it writes")
    print(_PRIME + "".join(model.sample(600, prime=_PRIME, temperature=0.5, random_state=seed)).rstrip())

    _title("Next")
    print(f"Saved in {output}: adder.elman, pydoc.elman{picture}")
    adder_file, model_file = (shlex.quote(str(output / name)) for name in ("adder.elman", "pydoc.elman"))
    print(f'  elman sample {model_file} --prime "{_PRIME}" --temperature 0.5')
    print(f"  elman info {model_file}")
    print(f"  elman add 1234567890123 9876543210987 -m {adder_file}")
    print("  elman demo memory")
    print("  elman train text YOUR-TEXT.txt -o model.elman")


def _train(path: Path, *, seconds: float, seed: int, saved: list[Path]) -> LanguageModel:
    """Train a character model for about so many seconds, on as much text as it can use in them."""
    import pydoc_data.topics

    from elman.tasks import LanguageModel, SaveEachEpoch

    text = "\n".join(pydoc_data.topics.topics[name] for name in sorted(pydoc_data.topics.topics))
    # Fewer streams and larger steps than the defaults learn more in a short time: with 128 units 1.42 against 1.71 nats
    # per character after three epochs of half this text. In one minute on 2 cores, 256 units end at 1.24 in validation
    # after 7 epochs; 128 units at 1.30 after 22, overfitted.
    settings: dict[str, Any] = {"hidden": 256, "batch": 24, "steps": 50, "lr": 3e-3, "random_state": seed}
    affordable = int(_speed(text, settings) * seconds)
    epochs = max(1, affordable // len(text))
    text = text[: max(1000, affordable)]
    model = LanguageModel(**settings, epochs=epochs)
    print(
        f"{len(text):,} characters, {model.layers} LSTM layers of {model.hidden} units; losses in nats per character",
        flush=True,
    )
    saver = SaveEachEpoch(model, path)
    try:
        return model.fit(text, callbacks=[saver])
    finally:
        if saver.saved:
            saved.append(path)


def _tell_stopped(output: Path, saved: list[Path]) -> None:
    """Say what an interrupted demo has saved, and how to go on."""
    names = ", ".join(path.name for path in saved)
    talk(f"Stopped. Saved in {output}: {names}." if saved else "Stopped. Nothing was saved.")
    again = "elman demo" if str(output) == _FOLDER else f"elman demo -o {shlex.quote(str(output))}"
    if len(saved) == 2:
        talk(f"Next: elman sample {shlex.quote(str(saved[-1]))}")
    talk(f"From the beginning: {again}")


def _speed(text: str, settings: dict[str, Any]) -> float:
    """Measure how many characters a second this machine trains on, in a second or less where it is quick."""
    from elman.tasks import LanguageModel

    rate = 0.0
    # The first round warms up; only if it was quick, a longer one measures better.
    for updates in (2, 40):
        model = LanguageModel(**settings, epochs=1, val_split=0.0, verbose=0)
        characters = updates * settings["batch"] * settings["steps"]
        began = time.perf_counter()
        model.fit(text[: characters + 1])
        elapsed = time.perf_counter() - began
        rate = characters / elapsed
        if elapsed > 0.25:
            break
    return rate


def _draw(model: LanguageModel, path: Path) -> str:
    """Draw the training curve if matplotlib is there; return how to name it in a list of files."""
    from elman.inspection import training_curve

    try:
        training_curve(model.history_, path)
    except UsageError as error:
        talk(f"note: no picture of the training: {error}")
        return ""
    return f", {path.name}"


def _title(text: str) -> None:
    print(f"\n{text}\n{'-' * len(text)}", flush=True)


app = typer.Typer(name="demo", invoke_without_command=True)
app.callback()(alone(guarded(demo)))
app.command()(guarded(memory))
