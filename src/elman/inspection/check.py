"""Whether the gradients of a model are right: the complex-step check, for every parameter."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import NDArray

from elman.cells.gate_orders import gate_block
from elman.engines.native import Engine, loss_layers
from elman.errors import UsageError, say
from elman.inspection.opened import twins, unwrapped, widened
from elman.model.data import Data, DataOptions, read_data
from elman.ops.weights import Weights
from elman.ragged import Ragged
from elman.training import progress
from elman.training.batches import Batch
from elman.training.parameters import Parameters
from elman.training.watch import recurrences

if TYPE_CHECKING:
    from rich.console import Group

__all__ = ["GradientCheck", "ParameterCheck", "check_gradients"]

Array = NDArray[Any]

# Squire & Trapp 1998: for an analytic f, Im f(x + ih) / h is f'(x) up to h², and nothing is subtracted.
_H = 1e-30
# Rounding of float64 over some thousand operations, relative to the norm of the gradient.
_TOLERANCE = 1e-10
# Central differences stop near 1e-9; what they cannot tell from the gradient is not called wrong.
_DIFFERENCE, _COARSE = 1e-6, 1e-5
# A wrong entry goes unseen along one random direction with probability zero; the second is for rounding.
_DIRECTIONS, _ENTRIES = 2, 4
_STEPS = 2000


@dataclass(frozen=True)
class ParameterCheck:
    """What was found about one parameter.

    Attributes:
        name: "<layer>.<parameter>", or "x" for the input.
        size: how many numbers it has.
        norm: of its gradient.
        difference: the largest difference between gradient and complex step, relative to the norm.
        verdict: "right"; "wrong"; or "not analytic": the complex step cannot tell, as something on the way takes
            absolute values, real parts or float arrays, but central differences agree with the gradient.
        hint: what is wrong, where it is known; or "".
    """

    name: str
    size: int
    norm: float
    difference: float
    verdict: str
    hint: str = ""


@dataclass(frozen=True)
class GradientCheck:
    """The gradients of a model beside those of the complex step; see `check_gradients`.

    Attributes:
        parameters: one entry each, and one for the input if it is numbers.
        loss: of the batch.
        sequences: that were used, of all that were given.
        steps: in these.
    """

    parameters: tuple[ParameterCheck, ...]
    loss: float
    sequences: tuple[int, int]
    steps: int

    @property
    def passed(self) -> bool:
        """Whether no gradient is wrong."""
        return all(parameter.verdict != "wrong" for parameter in self.parameters)

    @property
    def verdict(self) -> str:
        """What it means, in one sentence."""
        wrong = [parameter for parameter in self.parameters if parameter.verdict == "wrong"]
        unsure = sum(parameter.verdict == "not analytic" for parameter in self.parameters)
        if wrong:
            worst = max(wrong, key=lambda parameter: parameter.difference)
            also = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
            hint = f": {worst.hint}" if worst.hint else ""
            return f"The gradient of {worst.name}{also} is wrong{hint}."
        sure = f"All {len(self.parameters)} gradients are right"
        return f"{sure}, {unsure} of them by central differences alone." if unsure else f"{sure}, to rounding."

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return asdict(self) | {"passed": self.passed, "verdict": self.verdict}

    def __rich__(self) -> Group:
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        used, given = self.sequences
        data = f"{used} of {given} sequences" if used < given else f"{used} sequence{'s' if used > 1 else ''}"
        title = f"gradients beside the complex step, {data}, {self.steps} steps, loss {self.loss:.6g}"
        table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("parameter")
        for column in ("numbers", "norm", "difference"):
            table.add_column(column, justify="right")
        table.add_column("verdict")
        styles = {"right": "green", "wrong": "bold red", "not analytic": "yellow"}
        for p in self.parameters:
            verdict = Text(p.verdict, style=styles[p.verdict])
            table.add_row(Text(p.name), f"{p.size:,}", f"{p.norm:.4g}", f"{p.difference:.1e}", verdict)
        hints = [Text(f"{p.name}: {p.hint}") for p in self.parameters if p.hint]
        return Group(table, *hints, Text(self.verdict))


def check_gradients(
    model: Any, x: Any, y: Any, *, rng: int | None = None, verbose: int = 1, **options: Unpack[DataOptions]
) -> GradientCheck:
    """Check every gradient of a model against an exact one, and print a table.

    The gradient that training takes, by the engine and in native code where there is some, is compared with the
    complex step: the loss is computed again in NumPy with a perturbation of 1e-30 i, whose imaginary part is the
    derivative, exact to rounding (Squire & Trapp 1998). A float32 model is checked by its copy in float64; the model
    is left as it is. Made for those who write a cell, a layer or a loss of their own: `forward`, `step` and the loss
    have to run on complex numbers, which NumPy's functions do unless they take absolute values or real parts.

    Every parameter is moved along random directions and at some entries on their own. If a gradient is wrong, the
    hint names the gates of a recurrent layer whose rows are.

    Args:
        model: built and compiled, or a task that holds such a model.
        x: sequences; of many, the first ones with 2000 steps together are used.
        y: targets.
        rng: a seed for dropout and other noise, to check the gradients of training; None switches it off.
        verbose: 0 prints nothing.
        options: sample_weight, class_weight, lengths and pad_value, as in `fit`.

    Returns:
        The same as an object: `parameters`, `passed`, `verdict`, `to_dict()`.

    Raises:
        UsageError: if the model is not compiled.
        NotFittedError: if it has no weights.
        DataError: if the data does not fit.

    Example:
        >>> from elman import Sequential, layers
        >>> model = Sequential([layers.GRU(4), layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> model.build(2, rng=0)
        >>> x = np.random.default_rng(0).standard_normal((3, 5, 2))
        >>> check_gradients(model, x, x[:, 0, :1], verbose=0).verdict
        'All 7 gradients are right, to rounding.'
    """
    from rich.console import Console

    model = unwrapped(model, "check_gradients")
    if model.loss is None:
        cure = "Call model.compile(optimizer, loss): gradients are those of a loss"
        raise UsageError(say("check_gradients", "the model is not compiled", cure=cure))
    weights = {name: array.astype(np.float64) for name, array in model.named_weights().items()}
    data = read_data(model, x, y, where="check_gradients", **options)
    given = len(data.x)
    data = _first(data)
    check = _Check(model, weights, data, rng)
    names = list(check.point)
    shown = progress.watch(names, total=len(names), what="check_gradients", verbose="auto" if verbose else 0)
    found = tuple(check.parameter(name) for name in shown)
    result = GradientCheck(found, check.loss, (len(data.x), given), data.x.n_steps)
    if verbose:
        Console(highlight=False).print(result)
    return result


def _first(data: Data) -> Data:
    """Give the first sequences, as many as have so many steps together, and at least one."""
    enough = int(np.searchsorted(np.cumsum(data.x.lengths), _STEPS, side="right"))
    return data if enough >= len(data.x) else data.part(0, max(1, enough))


class _Check:
    """The loss of a model as a function of its parameters and its input, and the gradient that is to be checked.

    Attributes:
        point: where: parameters by name, and "x" where it is numbers.
        gradient: what the engine says, by name.
        loss: what the engine says.
    """

    def __init__(self, model: Any, weights: Mapping[str, Array], data: Data, rng: int | None) -> None:
        self._layers, self._named = twins(model.layers), dict(weights)
        self._input_size = model.input_size
        self._data, self._rng, self._loss = data, rng, model.loss
        self._x: Ragged = widened(data.x)
        self._target, self._weights = widened(data.target), widened(data.weights)
        parameters = Parameters.build(self._layers, model.input_size, dtype="float64", rng=None)
        parameters.set(weights, where="check_gradients", allow_nonfinite=True)
        engine = Engine(self._layers, parameters, model.loss)
        batch = Batch(self._x, self._target, self._weights, True)
        self.loss, _, _ = engine.loss_and_gradients(batch, rng=self._draws(), want_state=False)
        self.gradient = {name: grad.copy() for name, grad in parameters.named_grads().items()}
        self.point: dict[str, Array] = dict(weights)
        self._parts = recurrences(self._layers)
        if self._x.features is not None:
            self.point["x"] = self._x.values
            self.gradient["x"] = self._input_gradient()

    def parameter(self, name: str) -> ParameterCheck:
        """Check one parameter."""
        gradient = self.gradient[name]
        norm = float(np.linalg.norm(gradient))
        steps = list(_steps(gradient.shape, np.random.default_rng([len(name), gradient.size])))
        worst = self._worst(name, steps, self._exact)
        if worst <= _TOLERANCE:
            return ParameterCheck(name, gradient.size, norm, worst, "right")
        coarse = self._worst(name, steps, self._central)
        if coarse <= _COARSE:
            hint = "forward or the loss does not go on into complex numbers; central differences agree"
            return ParameterCheck(name, gradient.size, norm, worst, "not analytic", hint)
        return ParameterCheck(name, gradient.size, norm, worst, "wrong", self._hint(name, coarse))

    def _worst(self, name: str, steps: Sequence[Array], derivative: Callable[[str, Array], float]) -> float:
        """Give the largest difference over some directions, relative to the norm of the gradient."""
        gradient, differences = self.gradient[name], []
        for step in steps:
            true = derivative(name, step)
            got = float((gradient * step).sum())
            length = float(np.linalg.norm(step))
            # Along one entry of many a right gradient may be 0: what counts is its size as a whole.
            scale = max(float(np.linalg.norm(gradient)) * length, abs(true), 1e-300)
            differences.append(abs(got - true) / scale if np.isfinite(true) else np.inf)
        return max(differences)

    def _exact(self, name: str, step: Array) -> float:
        """Give the derivative along a direction by the complex step; NaN where complex numbers do not pass."""
        moved = {key: array.astype(complex) for key, array in self.point.items()}
        moved[name] = moved[name] + 1j * _H * step
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            try:
                return float(complex(self._value(moved)).imag / _H)
            except (TypeError, ValueError, np.exceptions.ComplexWarning):
                return float("nan")

    def _central(self, name: str, step: Array) -> float:
        """Give the derivative along a direction by central differences."""
        length = float(np.linalg.norm(step))
        size = _DIFFERENCE * max(1.0, float(np.abs(self.point[name]).max(initial=0))) / length
        ends = [self._value(self.point | {name: self.point[name] + sign * size * step}) for sign in (1, -1)]
        return float((ends[0] - ends[1]) / (2 * size))

    def _value(self, point: Mapping[str, Array]) -> Any:
        """Give the loss at a point, in the dtype of its arrays."""
        self._bind(point)
        out, _ = self._forward(point, tape=False)
        value, _, _ = self._loss(self._rows(out), self._rows(self._target), weights=self._rows(self._weights),
                                 want_grad=False)  # fmt: skip
        return value

    def _input_gradient(self) -> Array:
        """Give the gradient with respect to the input, which training never asks for."""
        self._bind(self.point)
        out, tapes = self._forward(self.point, tape=True)
        _, _, d_rows = self._loss(self._rows(out), self._rows(self._target), weights=self._rows(self._weights))
        d: Any = out.with_values(d_rows) if isinstance(out, Ragged) else d_rows
        for layer, tape in zip(reversed(self._shown), reversed(tapes), strict=True):
            grads = {name: np.zeros_like(array) for name, array in layer.weights.items()}
            d, _, _ = layer.backward(d, tape, grads, want_dx=True)
        return d.values  # type: ignore[no-any-return]

    def _bind(self, point: Mapping[str, Array]) -> None:
        """Let the layers have these parameters."""
        size = self._input_size
        for layer in self._layers:
            start = f"{layer.name}."
            own = {k.removeprefix(start): v for k, v in point.items() if k.startswith(start)}
            lent = {name: point[f"{whose}.{name}"] for name, (whose, _) in layer.borrowed(size).items()}
            layer.bind(Weights(own | lent))
            size = layer.output_size(size)
        self._shown = loss_layers(self._layers, self._loss)

    def _forward(self, point: Mapping[str, Array], *, tape: bool) -> tuple[Any, list[Any]]:
        out: Any = self._x.with_values(point["x"]) if "x" in point else self._x
        draws, tapes = self._draws(), []
        for layer in self._shown:
            out, _, kept = layer.forward(out, rng=draws, tape=tape)
            tapes.append(kept)
        return out, tapes

    def _draws(self) -> np.random.Generator | None:
        """Give the same randomness for every pass."""
        return None if self._rng is None else np.random.default_rng(self._rng)

    def _rows(self, out: Any) -> Any:
        """Give what the loss takes: rows, or sequences where targets are labels."""
        return out.values if isinstance(out, Ragged) and self._loss.targets != "labels" else out

    def _hint(self, name: str, coarse: float) -> str:
        """Say what is known about a gradient that is wrong."""
        where = name.rpartition(".")[0]
        part = self._parts.get(where)
        if part is None:
            layer = next((layer for layer in self._layers if layer.name == where), None)
            kind = "backward of every layer that x passes" if layer is None else f"{layer.kind}.backward"
            return (
                f"look at {kind} and at the gradient of {type(self._loss).__name__} (central differences: {coarse:.0e})"
            )
        cell, wrong = part.layer.cell, []
        gradient = self.gradient[name]
        if len(gradient) == cell.n_gates * part.layer.units:
            for k, gate in enumerate(cell.gates):
                step = np.zeros_like(gradient)
                block = gate_block(step, gate, order=cell.gates)
                block[...] = np.random.default_rng(k).standard_normal(block.shape)
                if self._worst(name, [step], self._exact) > _TOLERANCE:
                    wrong.append(gate)
        gates = f"the rows of gate {' and '.join(wrong)}" if 0 < len(wrong) < cell.n_gates else "all of it"
        return f"{gates} differ; look at step_backward of {type(cell).__name__}, the cell of {where}"


def _steps(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[Array]:
    """Give directions along which a parameter is moved: all of it at random, and some entries alone."""
    for _ in range(_DIRECTIONS):
        yield rng.standard_normal(shape)
    size = int(np.prod(shape))
    for entry in rng.permutation(size)[:_ENTRIES]:
        step = np.zeros(size)
        step[entry] = 1
        yield step.reshape(shape)
