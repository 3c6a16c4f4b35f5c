"""Whether layers fit one after another."""

from __future__ import annotations

from collections.abc import Sequence

from elman.errors import UsageError, say
from elman.layers.base import Ends, Layer

__all__ = ["Ends", "check_carry", "check_stack"]


def check_stack(layers: Sequence[Layer], *, input_size: int, ids: bool) -> Ends:
    """Check that layers fit one after another, for sequences coming in.

    Args:
        layers: from first to last.
        input_size: features of the sequences, or the number of token ids.
        ids: whether token ids come in.

    Returns:
        How many features come out, and whether as sequences.

    Raises:
        UsageError: naming the layer that does not fit and what to change.
    """
    size, sequences = input_size, True
    before: Layer | None = None
    for layer in layers:
        if ids and not layer.takes_ids:
            cure = f"Put Embedding({size}, ...) or a recurrent layer before it."
            raise UsageError(say(layer.title, "cannot take token ids", expected="numbers", got="token ids", cure=cure))
        if layer.needs_ids and not ids:
            cure = "Give integers (batch, steps) and let it be the first layer."
            raise UsageError(say(layer.title, "takes token ids only", expected="token ids", got="numbers", cure=cure))
        if layer.needs_sequences and not sequences:
            who = "the layer before it" if before is None else before.title
            cure = f"Set return_sequences=True on {who}."
            got = f"one row per sequence from {who}"
            raise UsageError(say(layer.title, "needs sequences", expected="one row per step", got=got, cure=cure))
        if layer.needs_rows and sequences:
            who = "the input" if before is None else before.title
            cure = "Set return_sequences=False on the layer before it, or put a Pooling layer there."
            got = f"sequences from {who}"
            raise UsageError(say(layer.title, "needs one row per sequence", expected="rows", got=got, cure=cure))
        layer.check_input(size, sequences=sequences)
        if ids and layer.vocab_size is not None and size > layer.vocab_size:
            wrong = "knows fewer token ids than come in"
            raise UsageError(say(layer.title, wrong, expected=f"at most {layer.vocab_size}", got=size))
        sequences = layer.gives_sequences(sequences)
        size, ids, before = layer.output_size(size), False, layer
    return Ends(size, sequences)


def check_carry(layers: Sequence[Layer], *, where: str) -> None:
    """Refuse to go on step by step, or window by window, through a layer that needs whole sequences.

    Args:
        layers: of a model.
        where: who asks, for messages.

    Raises:
        UsageError: naming the first layer that is not causal.
    """
    for layer in layers:
        if not layer.causal:
            wrong = f"{layer.title} ({layer.kind}) needs whole sequences, so no state can be carried through it"
            cure = "Give whole sequences at once, or take a model of layers that look back only."
            raise UsageError(say(where, wrong, expected="layers that look back only", cure=cure))
