"""A vector for every token id."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from numpy.random import Generator
from numpy.typing import DTypeLike

from elman.layers.base import Array, Layer, LayerConfig, Size, State
from elman.ops import embedding, kernels
from elman.ops.kernels import Kernel
from elman.ops.steps import Stepper
from elman.ragged import Ragged

__all__ = ["Embedding", "EmbeddingTape"]

# As torch draws it. With 0.1 a 2x128 LSTM on Tiny Shakespeare stood at 1.75 nats per character after three epochs,
# with 1 at 1.64: Adam moves every weight by about the learning rate, whatever its size.
_STD = 1.0


class EmbeddingTape(NamedTuple):
    """What the way back needs: the ids that came in, (N,)."""

    ids: Array

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return 0


class Embedding(Layer):
    """A learned vector for every token id.

    Args:
        vocab_size: how many ids there are, 1 to 65536.
        units: numbers per id, 1 to 65536.
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> Embedding(65, 32).param_shapes(input_size=65)
        {'weight': (65, 32)}
    """

    class Config(LayerConfig, tag="embedding"):
        """Options, with their bounds."""

        vocab_size: Size
        units: Size

    needs_sequences = True
    takes_ids = True
    needs_ids = True

    vocab_size: int
    units: int

    def __init__(self, vocab_size: int, units: int, *, name: str | None = None, **others: Any) -> None:
        # There are no others: they are let in to be refused with their cure, such as Keras's mask_zero.
        super().__init__(vocab_size=vocab_size, units=units, name=name, **others)

    def runs_on(self, dtype: DTypeLike) -> Kernel:
        """Say which code runs the lookup."""
        return kernels.of_lookup(dtype)

    def param_shapes(self, input_size: int) -> dict[str, tuple[int, ...]]:
        """Give the shape of weight (V, F); V is the layer's own."""
        return {"weight": (self.vocab_size, self.units)}

    def init(self, rng: Generator, input_size: int) -> dict[str, Array]:
        """Draw first values from a normal distribution with standard deviation 1."""
        return {"weight": rng.normal(0.0, _STD, (self.vocab_size, self.units))}

    def product_weights(self) -> tuple[str, ...]:
        """Name the table; a row has its own scale there."""
        return ("weight",)

    def output_size(self, input_size: int) -> int:
        """Give the numbers per id."""
        return self.units

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Ragged, State, EmbeddingTape | None]:
        """Look every id up; see `Layer.forward`.

        Args:
            x: token ids (N,).
            state: not used.
            rng: not used.
            tape: whether `backward` will follow.
        """
        ids = x.values
        return x.with_values(embedding.forward(ids, self.weights)), (), EmbeddingTape(ids) if tape else None

    def stepper(self, x: Array, **places: Any) -> Stepper:
        """Bind the lookup; see `Layer.stepper`."""
        return embedding.stepper(x, self.weights) or super().stepper(x, **places)

    def backward(
        self,
        dy: Any,
        tape: EmbeddingTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[None, State, Array | None]:
        """Add the gradient of every row to that of its id; there is no dx."""
        embedding.backward(dy.values, tape.ids, grads)
        return None, (), None
