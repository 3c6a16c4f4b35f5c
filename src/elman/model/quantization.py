"""What weights in fewer bytes cost: the report on a user's data, and the bound beyond which they are refused."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec
import numpy as np

from elman.errors import AccuracyError, UsageError, say
from elman.layers import Layer
from elman.model.summary import bytes_text
from elman.ops.rounding import STORAGES

__all__ = [
    "BOUND",
    "Figures",
    "Quantization",
    "Worst",
    "check_bound",
    "check_storage",
    "matrices",
    "refuse_beyond",
    "sizes",
]

#: Greatest increase of the loss, as a share of it, that `quantize` accepts if not told otherwise.
BOUND = 0.02

_Count = Annotated[int, msgspec.Meta(ge=0)]
#: Loss and metrics by name; None where there are no targets.
Figures = dict[str, float] | None


class Worst(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where outputs differ most.

    Attributes:
        sequence: its index in the data.
        step: its index in the sequence; None where a sequence has one output.
        difference: of one output there, at most.
    """

    sequence: _Count
    step: _Count | None
    difference: Annotated[float, msgspec.Meta(ge=0)]


class Quantization(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """How a model's weights are stored in fewer bytes, and what that cost.

    `print` shows it as a few lines. Without data there are sizes only.

    Attributes:
        weights: "int8" or "bfloat16".
        bytes_before: of all parameters as they were.
        bytes_after: of all parameters as they are in the file.
        before: loss and metrics of the model as it was, on the data; None without data or targets.
        after: the same of this model.
        outputs: how many numbers were compared; 0 without data.
        rms_difference: root mean square of the differences of outputs, as a share of that of the outputs.
        mean_difference: mean magnitude of the differences.
        worst: where the outputs differ most; None without data.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.LSTM(64), layers.Dense(2)])
        >>> model.build(8, rng=0)
        >>> print(model.quantize("int8").quantization)
        int8: 21.6 kB of weights instead of 75.3 kB (29 %)
    """

    weights: Literal["int8", "bfloat16"]
    bytes_before: _Count
    bytes_after: _Count
    before: Figures = None
    after: Figures = None
    outputs: _Count = 0
    rms_difference: float | None = None
    mean_difference: float | None = None
    worst: Worst | None = None

    @property
    def increase(self) -> float | None:
        """By what share of itself the loss is greater than it was; None without targets."""
        if self.before is None or self.after is None:
            return None
        was, now = self.before["loss"], self.after["loss"]
        return (now - was) / abs(was) if was else (0.0 if now == was else math.inf)

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    def __str__(self) -> str:
        share = self.bytes_after / self.bytes_before if self.bytes_before else 1.0
        sizes = f"{bytes_text(self.bytes_after)} of weights instead of {bytes_text(self.bytes_before)}"
        lines = [f"{self.weights}: {sizes} ({100 * share:.0f} %)"]
        if self.before is not None and self.after is not None:
            for name, was in self.before.items():
                now = self.after[name]
                change = f" ({_percent((now - was) / abs(was), sign='+')})" if was else ""
                lines.append(f"{name}: {was:.5g} before, {now:.5g} after{change}")
        if self.worst is not None:
            place = f"sequence {self.worst.sequence:,}"
            place += "" if self.worst.step is None else f", step {self.worst.step:,}"
            lines.append(
                f"outputs: they differ by {_percent(self.rms_difference or 0.0)} (root mean square, of theirs)"
            )
            lines.append(f"worst case: {self.worst.difference:.3g} at {place}; {self.mean_difference:.3g} on average")
        return "\n".join(lines)


def _percent(share: float, *, sign: str = "-") -> str:
    """Say a share in percent.

    Example:
        >>> _percent(0.01234), _percent(-0.000001, sign="+")
        ('1.23 %', '+0.00 %')
    """
    return f"{100 * share:{sign}z.2f} %"


def check_storage(weights: Any) -> None:
    """Refuse what weights cannot be stored in.

    Args:
        weights: what a user gave.

    Raises:
        UsageError: naming it.
    """
    if weights not in STORAGES:
        expected = " or ".join(map(repr, STORAGES))
        raise UsageError(say("quantize", "weights cannot be stored so", expected=expected, got=repr(weights)))


def check_bound(bound: Any) -> None:
    """Refuse a bound that is no number of at least 0.

    Args:
        bound: what a user gave.

    Raises:
        UsageError: naming it.
    """
    number = isinstance(bound, int | float | np.number) and not isinstance(bound, bool)
    if not number or not bound >= 0:
        expected = "a share of at least 0, such as 0.02; math.inf accepts everything"
        raise UsageError(say("quantize", "bound is out of range", expected=expected, got=repr(bound)))


def refuse_beyond(bound: float, report: Quantization) -> None:
    """Refuse a model that has lost more than it may.

    Args:
        bound: greatest increase of the loss as a share of it, or, without targets, greatest root mean square difference
            of outputs as a share of theirs.
        report: on the user's data; one without data refuses nothing.

    Raises:
        AccuracyError: naming bound, figure and what to do.
    """
    if report.increase is not None:
        lost, what = report.increase, "the loss rises"
        figures = f"; {report.before['loss']:.5g} before, {report.after['loss']:.5g} after"  # type: ignore[index]
    elif report.rms_difference is not None:
        lost, what, figures = report.rms_difference, "outputs differ (root mean square)", ""
    else:
        return
    if lost <= bound:
        return
    kept = report.weights == "bfloat16"
    cure = "Keep the weights as they are" if kept else "Store them as bfloat16, which loses less"
    if math.isfinite(lost):
        cure += f", or accept a bound of {math.ceil(lost * 1000) / 1000:g}"
    wrong = f"with {report.weights} weights {what} by {_percent(lost)}{figures}"
    error = AccuracyError(say("quantize", wrong, expected=f"at most {_percent(bound)}", cure=cure))
    error.report = report
    raise error


def matrices(layers: Iterable[Layer]) -> list[str]:
    """Name the parameters that are stored in fewer bytes.

    Args:
        layers: of a model; one may stand twice.
    """
    return [f"{layer.name}.{name}" for layer in dict.fromkeys(layers) for name in layer.product_weights()]


def sizes(shapes: dict[str, tuple[int, ...]], layers: Iterable[Layer], weights: str, itemsize: int) -> tuple[int, int]:
    """Count the bytes of all parameters before and after.

    Args:
        shapes: name -> shape of every parameter.
        layers: of the model.
        weights: what in.
        itemsize: bytes of a number before.
    """
    rounded = set(matrices(layers))
    before = after = 0
    for name, shape in shapes.items():
        count = math.prod(shape)
        before += count * itemsize
        small = count + 4 * shape[0] if weights == "int8" else 2 * count
        after += small if name in rounded else 4 * count
    return before, after
