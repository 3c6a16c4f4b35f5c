"""Reading a sequence from both ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.random import Generator

from elman.errors import UsageError, say
from elman.layers.base import Array, Flow, Layer, State
from elman.layers.recurrent import Recurrent
from elman.layers.wrapper import Wrapper, WrapperConfig, copy_of, part_of_grads
from elman.ops.workspace import current
from elman.ragged import Ragged

__all__ = ["Bidirectional", "BidirectionalTape"]


class BidirectionalTape(NamedTuple):
    """What the way back needs: the input in the user's order of time, and the tapes of both directions."""

    x: Ragged
    forward: Any
    backward: Any

    @property
    def nbytes(self) -> int:
        """Bytes that are kept beyond the input."""
        return int(self.forward.nbytes + self.backward.nbytes + self.x.values.nbytes)


class Bidirectional(Wrapper):
    """Two recurrent layers over the same sequences, one from each end; Schuster & Paliwal 1997.

    Every sequence is turned around at its own end, so nothing is padded and any lengths are exact.
    With `return_sequences=True` in the wrapped layer, what both say about a step is merged for
    every step; otherwise what they say after their last one: the forward layer at the end of the
    sequence, the backward layer at its beginning.

    The state is the forward layer's parts followed by the backward layer's; the backward layer
    begins at the end of the sequence with its own.

    Args:
        layer: an RNN, LSTM or GRU with any options; it is copied, its weights are named "forward.…".
        merge_mode: how the two are put together: "concat" (side by side), "sum" or "mean" (Keras's
            "ave" is accepted).
        backward_layer: reads from the end; one with the options of `layer` if None. Weights "backward.…".
        name: key of its weights; the model gives one if None.

    Raises:
        UsageError: if a layer is not recurrent, the two do not fit together, or merge_mode is unknown.

    Example:
        >>> from elman.layers import LSTM
        >>> both = Bidirectional(LSTM(100, return_sequences=True))
        >>> both.output_size(input_size=12), both.state_sizes()
        (200, (100, 100, 100, 100))
    """

    class Config(WrapperConfig, tag="bidirectional"):
        """Options, with their bounds."""

        merge_mode: Literal["concat", "sum", "mean"] = "concat"
        backward_layer: dict[str, Any] | None = None

    causal = False
    needs_sequences = True
    takes_ids = True

    layer: Recurrent
    merge_mode: str
    backward_layer: Recurrent | None

    def __init__(
        self, layer: Layer, *, merge_mode: str = "concat", backward_layer: Layer | None = None, name: str | None = None
    ) -> None:
        for given in (layer, *([] if backward_layer is None else [backward_layer])):
            if not isinstance(given, Recurrent):
                got = given.kind if isinstance(given, Layer) else repr(given)
                cure = "Other layers see every step alone, or all of them; they need no second direction."
                raise UsageError(
                    say("Bidirectional", "it wraps a recurrent layer", expected="RNN, LSTM or GRU", got=got, cure=cure)
                )
        second = None if backward_layer is None else copy_of(backward_layer, "Bidirectional")
        super().__init__(
            layer,
            merge_mode="mean" if merge_mode == "ave" else merge_mode,
            backward_layer=None if second is None else second.config(),
            name=name,
        )
        self.backward_layer = second  # type: ignore[assignment]  # asked above
        if second is None:
            second = type(self.layer).from_config(self.layer.config() | {"name": None})
        self._second: Recurrent = second  # type: ignore[assignment]
        self._check_pair()
        self.vocab_size = self.layer.vocab_size

    def _check_pair(self) -> None:
        """Refuse two layers whose outputs cannot be merged."""
        first, second = self.layer, self._second
        for option in ("return_sequences", "vocab_size"):
            ours, theirs = getattr(first, option), getattr(second, option)
            if ours != theirs:
                wrong = f"{option} of backward_layer differs from that of layer"
                raise UsageError(say(self.title, wrong, expected=repr(ours), got=repr(theirs)))
        sizes = first.output_size(1), second.output_size(1)
        if self.merge_mode != "concat" and sizes[0] != sizes[1]:
            wrong = f"layer and backward_layer give {sizes[0]} and {sizes[1]} features, of which there is no"
            cure = "Take equal units, or merge_mode='concat'."
            raise UsageError(say(self.title, f"{wrong} {self.merge_mode}", expected="equal sizes", cure=cure))

    @property
    def return_sequences(self) -> bool:
        """Whether there is an output for every step."""
        return self.layer.return_sequences

    @property
    def parts(self) -> dict[str, Layer]:
        """The two directions."""
        return {"forward": self.layer, "backward": self._second}

    def kept_per_step(self, input_size: int) -> int:
        """Count both directions, x and y turned around, y merged and the gradients of all three."""
        turned = input_size + self._second.output_size(input_size) + self.output_size(input_size)
        return super().kept_per_step(input_size) + 2 * turned

    def output_size(self, input_size: int) -> int:
        """Give both sizes together for "concat", else one of them."""
        size = self.layer.output_size(input_size)
        return size + self._second.output_size(input_size) if self.merge_mode == "concat" else size

    def forward(
        self, x: Ragged, *, state: State | None = None, rng: Generator | None = None, tape: bool = True
    ) -> tuple[Flow, State, BidirectionalTape | None]:
        """Run both directions; see `Layer.forward`.

        Args:
            x: values (N, I) or token ids (N,), lengths >= 0.
            state: the forward layer's parts, then the backward layer's, each (B, H); zeros if None.
            rng: given while training; both directions draw from it, the forward one first.
            tape: whether `backward` will follow.

        Returns:
            A Ragged with values (N, O), or the last outputs (B, O); the last state; the tape or None.
        """
        first, second = self._split(state)
        there, last, tape_1 = self.layer.forward(x, state=first, rng=rng, tape=tape)
        back, last_2, tape_2 = self._second.forward(_turned(x), state=second, rng=rng, tape=tape)
        kept = BidirectionalTape(x, tape_1, tape_2) if tape else None
        if isinstance(there, Ragged) and isinstance(back, Ragged):
            return x.with_values(self._merged(there.values, _turned(back).values)), last + last_2, kept
        return self._merged(there, back), last + last_2, kept  # type: ignore[arg-type]  # both are (B, H)

    def backward(
        self,
        dy: Any,
        tape: BidirectionalTape,
        grads: Mapping[str, Array],
        *,
        dstate: State | None = None,
        want_dx: bool = True,
        keep_dh: bool = False,
    ) -> tuple[Ragged | None, State, Array | None]:
        """Take both directions back; dx is the sum of theirs, see `Layer.backward`.

        Args:
            dy: a Ragged with values (N, O), or (B, O); None for zeros.
            tape: from `forward`.
            grads: gradients are added into these.
            dstate: gradient with respect to the last state, parts as in `state_sizes`; None for zeros.
            want_dx: whether dx is needed; of token ids there is none.
            keep_dh: whether dh is needed: (N, H + H), the backward layer's beside the forward layer's.
        """
        x = tape.x
        dy_1: Any = None
        dy_2: Any = None
        if isinstance(dy, Ragged):
            there, back = self._parted(dy.values)
            dy_1, dy_2 = x.with_values(there), _turned(x.with_values(back))
        elif dy is not None:
            dy_1, dy_2 = self._parted(dy)
        first, second = self._split(dstate)
        dx_1, begin_1, dh_1 = self.layer.backward(
            dy_1, tape.forward, part_of_grads(grads, "forward"), dstate=first, want_dx=want_dx, keep_dh=keep_dh
        )
        dx_2, begin_2, dh_2 = self._second.backward(
            dy_2, tape.backward, part_of_grads(grads, "backward"), dstate=second, want_dx=want_dx, keep_dh=keep_dh
        )
        dx, dh = None, None
        if dx_1 is not None and dx_2 is not None:
            total = _turned(x.with_values(dx_2.values)).values
            total += dx_1.values
            dx = x.with_values(total)
        if dh_1 is not None and dh_2 is not None:
            dh = np.concatenate([dh_1, _turned(x.with_values(dh_2)).values], axis=1)
        return dx, begin_1 + begin_2, dh

    def _split(self, state: State | None) -> tuple[State | None, State | None]:
        """Give the two directions' parts of a state."""
        if state is None:
            return None, None
        parts = len(self.layer.state_sizes())
        return state[:parts], state[parts:]

    def _merged(self, there: Array, back: Array) -> Array:
        """Put the outputs of both directions together, (·, H) each in the user's order of time."""
        if self.merge_mode == "concat":
            shape, size = (len(there), there.shape[1] + back.shape[1]), there.shape[1]
            out = current().take(shape, np.result_type(there, back))
            out[:, :size] = there
            out[:, size:] = back
            return out
        out = current().take(there.shape, np.result_type(there, back))
        np.add(there, back, out=out)
        if self.merge_mode == "mean":
            out *= 0.5
        return out

    def _parted(self, dy: Array) -> tuple[Array, Array]:
        """Give the gradients of both directions' outputs."""
        if self.merge_mode == "concat":
            size = self.layer.output_size(1)
            return np.ascontiguousarray(dy[:, :size]), np.ascontiguousarray(dy[:, size:])
        if self.merge_mode == "mean":
            dy = 0.5 * dy
        return dy, dy


def _turned(x: Ragged) -> Ragged:
    """Turn every sequence around, into memory that is used again for the next batch."""
    return x.reverse(out=current().take(x.values.shape, x.values.dtype))
