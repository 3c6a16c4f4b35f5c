"""All parameters of a model in one flat array, all gradients in another."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from elman.errors import ResourceError, UsageError, say
from elman.ops.rounding import Storage, rounded
from elman.ops.weights import Clock, Weights
from elman.ops.workspace import ALIGNMENT, empty_aligned

if TYPE_CHECKING:
    from elman.layers.base import Layer

__all__ = ["Parameters", "no_gradients", "parameter_shapes"]

Array = NDArray[Any]
Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(layers: Sequence[Layer], input_size: int) -> Shapes:
    """Give the shape of every parameter by "<layer>.<parameter>", without allocating any.

    Args:
        layers: in order; one that stands twice counts once.
        input_size: features (or vocabulary size) of the model's input.

    Raises:
        UsageError: if two layers share a name, one layer would need two input sizes, or a parameter that is another
            layer's is not there.
    """
    _loans(layers, input_size)
    return {
        f"{layer.name}.{name}": shape for layer, shapes in _walk(layers, input_size) for name, shape in shapes.items()
    }


def _walk(layers: Sequence[Layer], input_size: int) -> list[tuple[Layer, Shapes]]:
    """Give each different layer once, with the shapes of its parameters."""
    found: dict[str, tuple[Layer, Shapes]] = {}
    size = input_size
    for layer in layers:
        shapes = dict(layer.param_shapes(size))
        other, known = found.setdefault(str(layer.name), (layer, shapes))
        if other is not layer:
            raise UsageError(say("model", f"two layers are named '{layer.name}'", cure="Give each its own name"))
        if known != shapes:
            raise UsageError(
                say(
                    f"layer '{layer.name}'",
                    "it stands twice, with inputs of different sizes",
                    expected=known,
                    got=shapes,
                )
            )
        size = layer.output_size(size)
    return list(found.values())


def _loans(layers: Sequence[Layer], input_size: int) -> dict[int, dict[str, Layer]]:
    """Say which parameters of layers are another layer's: id of the layer -> name -> that other.

    Raises:
        UsageError: if there is no such layer before it, or it has no such parameter of this shape.
    """
    loans: dict[int, dict[str, Layer]] = {}
    shapes_of = {str(layer.name): (layer, shapes) for layer, shapes in _walk(layers, input_size)}
    size = input_size
    for layer in layers:
        for name, (whose, needed) in layer.borrowed(size).items():
            where, wrong = layer.title, f"its {name} is that of layer '{whose}'"
            lender, shapes = shapes_of.get(whose, (layer, {}))
            if lender is layer or name not in shapes:
                owners = [other for other, (_, has) in shapes_of.items() if name in has]
                raise UsageError(say(where, f"{wrong}, which has none", expected=f"one of {owners}"))
            if shapes[name] != needed:
                cure = f"Put Dense({shapes[name][-1]}) before it" if shapes[name][0] == needed[0] else None
                raise UsageError(say(where, wrong, expected=f"shape {needed}", got=shapes[name], cure=cure))
            loans.setdefault(id(layer), {})[name] = lender
        size = layer.output_size(size)
    return loans


class Parameters:
    """The parameters of a model and their gradients, one flat buffer each.

    Layers hold views into `flat`, each beginning on a 64-byte boundary; the gap before the next
    one is zero in both buffers for ever, so an optimizer, a norm or a checkpoint is one call over
    one array. Whoever changes `flat` does `clock.ticks += 1`.

    Attributes:
        flat: all parameters (P,).
        grads: all gradients (P,). Rounded parameters have none: such a model answers and is not trained.
        clock: shared by the weights of all layers.
        storage: what the matrices are rounded to, "int8" or "bfloat16"; None for what `flat` can hold.

    Example:
        >>> from elman import layers
        >>> parts = [layers.LSTM(8, name="lstm"), layers.Dense(1, name="dense")]
        >>> parameters = Parameters.build(parts, 3, dtype="float64", rng=np.random.default_rng(0))
        >>> parameters.named()["lstm.weight_ih"].shape
        (32, 3)
    """

    __slots__ = ("_grads", "_layers", "_own", "_weights", "clock", "flat", "grads", "storage")

    def __init__(
        self,
        layers: Sequence[Layer],
        input_size: int,
        *,
        dtype: DTypeLike,
        precision: str | None = None,
        storage: Storage | None = None,
    ) -> None:
        kind = np.dtype(dtype)
        unit = ALIGNMENT // kind.itemsize
        walked, loans = _walk(layers, input_size), _loans(layers, input_size)
        places: list[tuple[Layer, dict[str, tuple[int, tuple[int, ...]]]]] = []
        size = 0
        for layer, shapes in walked:
            spots = {}
            for name, shape in shapes.items():
                spots[name] = (size, shape)
                size += -(-math.prod(shape) // unit) * unit
            places.append((layer, spots))
        try:
            self.flat: Array = empty_aligned((size,), kind)
            if storage is None:
                self.grads: Array = empty_aligned((size,), kind)
        except (MemoryError, ValueError) as error:  # ValueError: more than an address can count
            copies, whose = (2, " and their gradients") if storage is None else (1, "")
            need = f"{copies * size * kind.itemsize / 1e9:,.1f} GB for {size:,} parameters{whose}"
            raise ResourceError(say("build", "not enough memory", got=need, cure="Make the layers smaller")) from error
        self.flat.fill(0)
        if storage is None:
            self.grads.fill(0)
        self.clock, self.storage = Clock(), storage
        self._layers: list[Layer] = []
        self._weights: dict[int, Weights] = {}
        self._grads: dict[int, dict[str, Array]] = {}
        for layer, spots in places:
            self._layers.append(layer)
            # A layer without matrices to round, such as one of a user's own, computes as it always did.
            held = precision if storage is None else storage if layer.product_weights() else None
            self._weights[id(layer)] = Weights(_views(self.flat, spots), self.clock, held)
            self._grads[id(layer)] = {} if storage else _views(self.grads, spots)
        self._own = {id(layer): tuple(spots) for layer, spots in places}
        for layer in self._layers:
            for name, lender in loans.get(id(layer), {}).items():
                for arrays in (self._weights, *([] if storage else [self._grads])):
                    arrays[id(layer)][name] = arrays[id(lender)][name]  # type: ignore[index]

    @classmethod
    def build(
        cls,
        layers: Sequence[Layer],
        input_size: int,
        *,
        dtype: DTypeLike,
        rng: np.random.Generator | None,
        precision: str | None = None,
        storage: Storage | None = None,
    ) -> Parameters:
        """Allocate, initialise and bind the parameters of these layers.

        Args:
            layers: in order; one that stands twice is bound once.
            input_size: features (or vocabulary size) of the model's input.
            dtype: float32 or float64.
            rng: draws the initial values; None leaves zeros, for weights that come from a file.
            precision: what products are made in, one of `elman.ops.weights.PRECISIONS`; None for the dtype.
            storage: what the matrices are rounded to whenever they are set, and multiplied in; None leaves them.

        Raises:
            ResourceError: if there is not enough memory.
            UsageError: if names or sizes do not fit together.
        """
        parameters = cls(layers, input_size, dtype=dtype, precision=precision, storage=storage)
        size = input_size
        drawn: set[int] = set()
        for layer in layers:
            if rng is not None and id(layer) not in drawn:
                drawn.add(id(layer))
                weights = parameters.weights(layer)
                for name, values in layer.init(rng, size).items():
                    weights[name][...] = values
            size = layer.output_size(size)
        # Drawing takes long and much memory; whatever stops it must leave no layer bound.
        for layer in parameters._layers:
            layer.bind(parameters.weights(layer))
        return parameters

    def weights(self, layer: Layer) -> Weights:
        """Give the views of a layer into `flat`."""
        return self._weights[id(layer)]

    def grads_of(self, layer: Layer) -> dict[str, Array]:
        """Give the views of a layer into `grads`."""
        return self._grads[id(layer)]

    def named(self) -> dict[str, Array]:
        """Give the views into `flat` by "<layer>.<parameter>"."""
        return self._by_name(self._weights)

    def named_grads(self) -> dict[str, Array]:
        """Give the views into `grads` by "<layer>.<parameter>"."""
        return {} if self.storage else self._by_name(self._grads)

    def _by_name(self, arrays: Mapping[int, Mapping[str, Array]]) -> dict[str, Array]:
        """Give the arrays that belong to layers, each once."""
        owned = ((layer, arrays[id(layer)], name) for layer in self._layers for name in self._own[id(layer)])
        return {f"{layer.name}.{name}": of_layer[name] for layer, of_layer, name in owned}

    def set(self, values: Mapping[str, Array], *, where: str = "set_weights", allow_nonfinite: bool = False) -> None:
        """Replace all parameters, or none if one does not fit; matrices are rounded to `storage`.

        Args:
            values: name -> array of the parameter's shape; all names must be there.
            where: who speaks in the message.
            allow_nonfinite: accept NaN and infinity.

        Raises:
            UsageError: listing every missing, unknown, misshapen and not finite array at once.
        """
        views = self.named()
        arrays = {name: np.asarray(value) for name, value in values.items()}
        wrong = [f"'{name}' is missing" for name in views if name not in arrays]
        wrong += [f"'{name}' is unknown" for name in arrays if name not in views]
        wrong += [
            f"'{name}' has shape {arrays[name].shape}, not {view.shape}"
            for name, view in views.items()
            if name in arrays and arrays[name].shape != view.shape
        ]
        wrong += [
            f"'{name}' has dtype {array.dtype}, not numbers"
            for name, array in arrays.items()
            if array.dtype.kind not in "fiu"
        ]
        wrong += [
            f"'{name}' holds {value}, which is not finite in {view.dtype}"
            for name, view in views.items()
            if name in arrays and not allow_nonfinite and (value := _not_finite(arrays[name], view.dtype)) is not None
        ]
        if wrong:
            raise UsageError(say(where, "the weights do not fit: " + "; ".join(wrong)))
        for name, view in views.items():
            view[...] = arrays[name]
        if self.storage is not None:
            for layer in self._layers:
                weights = self.weights(layer)
                for name in layer.product_weights():
                    weights[name][...] = rounded(weights[name], self.storage)
        self.clock.ticks += 1

    @property
    def count(self) -> int:
        """The number of parameters, gaps not counted."""
        return sum(view.size for view in self.named().values())

    def __getattr__(self, name: str) -> Array:
        # Asked for what is not there: of what should be, only the gradients of rounded parameters are not.
        if name != "grads":
            raise AttributeError(f"'Parameters' object has no attribute {name!r}")
        raise no_gradients("gradients", str(self.storage))

    def __repr__(self) -> str:
        return f"Parameters({self.count:,} of {self.flat.dtype} in {len(self._layers)} layers)"


def no_gradients(where: str, storage: str) -> UsageError:
    """Give the error for training a model whose weights are rounded.

    Args:
        where: who was asked to.
        storage: what they are rounded to.
    """
    cure = "Train the model that it was made of, and quantize that again"
    return UsageError(say(where, f"the model's weights are {storage}, which answers and is not trained", cure=cure))


def _not_finite(array: Array, dtype: np.dtype[Any]) -> Any:
    """Give the first number that is not finite, or would not be in this dtype."""
    if array.dtype.kind != "f":  # no integer is too large for a float
        return None
    with np.errstate(over="ignore"):
        finite = np.isfinite(array.astype(dtype, copy=False))
    return None if finite.all() else array.flat[int(np.argmin(finite))]


def _views(buffer: Array, spots: Mapping[str, tuple[int, tuple[int, ...]]]) -> dict[str, Array]:
    """Cut one view per parameter out of a flat buffer."""
    return {name: buffer[start : start + math.prod(shape)].reshape(shape) for name, (start, shape) in spots.items()}
