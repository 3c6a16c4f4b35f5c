"""What a training run shows while it runs: a bar on a terminal, now and then a line elsewhere.

All of it goes to stderr. The loop asks only `now >= progress.due`, which costs nothing.
"""

from __future__ import annotations

import contextlib
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from elman.errors import UsageError, say
from elman.training.watch.verdicts import is_gradient

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["Progress", "Verbose", "check_verbose", "make", "watch"]

T = TypeVar("T")

# Figures that four places after the point would not show as they are.
_FORMATS = {"learning_rate": ".3g", "skipped": ".0f", "rollbacks": ".0f"}


class Progress:
    """Silence, and the base of those who speak.

    Attributes:
        due: the time (time.perf_counter) from which the next `update` is welcome.
        notes: lines that stand below the figures.
    """

    interval = math.inf  # seconds between updates

    def __init__(self) -> None:
        self.due = math.inf
        self.notes: Sequence[str] = ()

    def start(self, *, epochs: int, n_batches: int, n_items: int, unit: str) -> None:
        """Begin.

        Args:
            epochs: how many there will be.
            n_batches: per epoch.
            n_items: per epoch, for the rate.
            unit: what an item is called.
        """
        self.epochs, self.n_batches, self.n_items, self.unit = epochs, max(n_batches, 1), n_items, unit
        self.began = self.epoch_began = time.perf_counter()
        self.due = self.began + self.interval

    def update(self, epoch: int, batch: float, loss: float | None, rate: float | None = None) -> None:
        """Show where training is.

        Args:
            epoch: index from 0.
            batch: number of batches done in it, with a fraction in the middle of one.
            loss: mean over the epoch so far; None before its first batch is done.
            rate: the learning rate, if it changes.
        """
        now = time.perf_counter()
        self.due = now + self.interval
        figures = [] if loss is None else [f"loss {loss:.4f}"]
        figures += [] if rate is None else [f"learning_rate {rate:.3g}"]
        self._show(epoch, min(batch, self.n_batches), figures, now)

    def end_batches(self) -> None:
        """Hear that the epoch is trained and validation comes, which does not count for the rate."""
        self.train_seconds = time.perf_counter() - self.epoch_began

    def end_epoch(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Show the figures of a finished epoch.

        Args:
            epoch: index from 0.
            logs: name -> value.
        """
        now = time.perf_counter()
        self._show_epoch(epoch, logs, now)
        self.epoch_began = now

    def close(self) -> None:
        """Leave the terminal as it was."""

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None: ...

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None: ...

    def _rate(self, done: float, seconds: float) -> str:
        """Say how many items a second; `done` counts batches."""
        rate = done / self.n_batches * self.n_items / max(seconds, 1e-9)
        return f"{rate:,.0f} {self.unit}/s" if rate >= 10 else f"{rate:.2g} {self.unit}/s"

    def _left(self, epoch: int, batch: float, now: float) -> str:
        """Say how long it will still take, judged by all the time it has taken."""
        done = epoch * self.n_batches + batch
        return duration((now - self.began) / (done or 1) * (self.epochs * self.n_batches - done)) + " left"

    def _summary(self, epoch: int, logs: Mapping[str, float], now: float) -> str:
        shown = {name: value for name, value in logs.items() if not is_gradient(name)}  # those stand in the notes
        figures = "  ".join(f"{name} {value:{_FORMATS.get(name, '.4f')}}" for name, value in shown.items())
        rate = self._rate(self.n_batches, self.train_seconds)
        return f"epoch {epoch + 1}/{self.epochs}  {figures}  {rate}  {duration(now - self.epoch_began)}"


class Lines(Progress):
    """A line every few seconds and at the end of an epoch, for logs.

    Args:
        stream: where to write.
        interval: seconds between lines within an epoch; infinity leaves the ends of epochs.
        every_epoch: whether each epoch gets its line, or at most one a second does.
    """

    def __init__(self, stream: TextIO, *, interval: float = 5.0, every_epoch: bool = False) -> None:
        super().__init__()
        self.stream: TextIO | None = stream
        self.interval, self.every_epoch = interval, every_epoch
        self._last_line = -math.inf

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None:
        rate = self._rate(batch, now - self.epoch_began)
        part = f"{int(100 * batch / self.n_batches):3d} %"
        texts = f"epoch {epoch + 1}/{self.epochs}", part, *figures, rate, self._left(epoch, batch, now)
        self._write("  ".join(texts), now)

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        if self.every_epoch or epoch + 1 == self.epochs or now - self._last_line >= 1.0:
            self._write(self._summary(epoch, logs, now), now)

    def _write(self, text: str, now: float) -> None:
        if self.stream is None:
            return
        self._last_line = now
        self.due = now + self.interval
        try:
            print("\n  ".join((text, *self.notes)), file=self.stream, flush=True)
        except OSError:
            # Whoever read the log has left, or its disk is full: no reason to lose the training, and nobody to tell.
            self.stream, self.due = None, math.inf


class Bar(Progress):
    """A bar with loss, rate and time left, and above it a line per finished epoch."""

    interval = 0.1

    def start(self, *, epochs: int, n_batches: int, n_items: int, unit: str) -> None:
        """Begin, and draw the empty bar."""
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as RichProgress
        from rich.text import Text

        class WithNotes(RichProgress):
            """A bar with the notes below it."""

            def get_renderables(_) -> Any:
                yield from RichProgress.get_renderables(_)
                yield from (Text(f"  {note}", style="progress.remaining", no_wrap=True) for note in self.notes)

        super().start(epochs=epochs, n_batches=n_batches, n_items=n_items, unit=unit)
        self._last_line = -math.inf
        self._bar: RichProgress | None = WithNotes(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:3.0f} %"),
            TextColumn("{task.fields[figures]}", style="progress.remaining"),
            console=Console(stderr=True, highlight=False),
            auto_refresh=False,  # a thread that redraws would compete with training
            transient=True,
            expand=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(f"epoch 1/{epochs}", total=epochs * self.n_batches, figures="")
        self._bar.refresh()

    def close(self) -> None:
        """Take the bar away; the lines stay."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _show(self, epoch: int, batch: float, figures: list[str], now: float) -> None:
        if self._bar is None:
            return
        rate = self._rate(batch, now - self.epoch_began)
        self._bar.update(
            self._task,
            description=f"epoch {epoch + 1}/{self.epochs}",
            completed=epoch * self.n_batches + batch,
            figures="  ".join((*figures, rate, self._left(epoch, batch, now))),
            refresh=True,
        )

    def _show_epoch(self, epoch: int, logs: Mapping[str, float], now: float) -> None:
        if self._bar is None:
            return
        after = f"epoch {min(epoch + 2, self.epochs)}/{self.epochs}"
        self._bar.update(self._task, description=after, completed=(epoch + 1) * self.n_batches, figures="")
        # Hundreds of short epochs would push everything else off the screen.
        if epoch + 1 == self.epochs or now - self._last_line >= 1.0 or self.epochs <= 20:
            self._last_line = now
            self._bar.console.print(self._summary(epoch, logs, now), markup=False, soft_wrap=True)
        self._bar.refresh()


Verbose = str | int | Progress


def make(verbose: Verbose) -> Progress:
    """Give the way of showing that `verbose` asks for.

    Args:
        verbose: 0 silent; "auto" or 1 a bar on a terminal and lines elsewhere; 2 one line per epoch;
            a Progress is given back.

    Raises:
        UsageError: if it is none of these.
    """
    if isinstance(verbose, Progress):
        return verbose
    check_verbose(verbose, "fit")
    stream = sys.stderr
    if verbose == 0 or stream is None:
        return Progress()
    if verbose == 2:
        return Lines(stream, interval=math.inf, every_epoch=True)
    return Bar() if stream.isatty() else Lines(stream)


def check_verbose(verbose: Verbose, where: str) -> None:
    """Refuse what says nothing about how much to show.

    Args:
        verbose: what a user gave.
        where: who speaks in the message.

    Raises:
        UsageError: if it is neither "auto", 0, 1 nor 2.
    """
    if verbose not in ("auto", 0, 1, 2):
        raise UsageError(say(where, "verbose is out of range", expected="'auto', 0, 1 or 2", got=repr(verbose)))


# Who waits no longer than this needs no bar.
_PATIENCE = 2.0


def watch(items: Iterable[T], *, total: int, what: str, verbose: Verbose = "auto") -> Iterator[T]:
    """Give items one by one, and once they take long show how many have been worked on.

    Args:
        items: of some work that goes through them.
        total: how many there are.
        what: the work, for the display.
        verbose: 0 silent; else a bar on a terminal and a line every few seconds elsewhere, as long as somebody reads.
    """
    stream = None if verbose == 0 else sys.stderr
    began = time.perf_counter()
    due = began + _PATIENCE
    bar: RichProgress | None = None
    try:
        for done, item in enumerate(items):
            now = time.perf_counter()
            if stream is not None and now >= due:
                left = f"{duration((now - began) / max(done, 1) * (total - done))} left"
                try:
                    if stream.isatty():
                        from rich.console import Console
                        from rich.progress import Progress as RichProgress

                        due = now + Bar.interval
                        if bar is None:
                            new = RichProgress(console=Console(stderr=True), auto_refresh=False, transient=True)
                            new.start()
                            bar, task = new, new.add_task(what, total=total)
                        bar.update(task, completed=done, description=f"{what}  {left}", refresh=True)
                    else:
                        due = now + 5.0
                        print(f"{what}  {100 * done // total:3d} %  {left}", file=stream, flush=True)
                except OSError:
                    stream = None  # whoever read it has left: no reason to lose the work
            yield item
    finally:
        if bar is not None:
            with contextlib.suppress(OSError):
                bar.stop()


def duration(seconds: float) -> str:
    """Say a time in the unit that people would use.

    Example:
        >>> duration(0.0042), duration(75), duration(5000)
        ('4.2 ms', '1:15', '1:23:20')
    """
    if not math.isfinite(seconds):
        return "?"
    if seconds < 1:
        return f"{seconds * 1e3:.2g} ms" if seconds < 0.0995 else f"{seconds * 1e3:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
