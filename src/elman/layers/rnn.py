"""The simple recurrent layer."""

from __future__ import annotations

from elman import cells
from elman.layers.recurrent import Recurrent, RecurrentConfig

__all__ = ["RNN", "SimpleRNN"]


class RNN(Recurrent):
    """The simple recurrent layer of Elman 1990: h' = φ(W x + b + R h); see `elman.cells.RNN`.

    Args:
        units: H, 1 to 65536.
        return_sequences: whether h of every step comes out, or that of the last one.
        vocab_size: how many token ids may come in, if they do; found in the data if None.
        initial_state: "zeros", or "learned": parameters h0 (and c0), the same for all sequences.
        activation: φ, "tanh", "sigmoid", "relu", "hard_sigmoid" or "identity".
        layer_norm: whether the products are normalised (Ba, Kiros & Hinton 2016).
        dropout: share of the inputs that training takes away, the same ones at every step of a sequence.
        recurrent_dropout: likewise of h before R; Gal & Ghahramani 2016.
        zoneout: share of h that training leaves as it was, anew at every step; predicting mixes old and new
            by that share (Krueger et al. 2017).
        weight_drop: share of the numbers in R that training takes away, anew for every batch (Merity, Keskar &
            Socher 2018).
        name: key of its weights; the model gives one if None.
        stateful: not an option; the error says what to do.
        return_state: not an option; the error says what to do.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> RNN(16, activation="sigmoid", return_sequences=True).param_shapes(input_size=2)
        {'weight_ih': (16, 2), 'weight_hh': (16, 16), 'bias': (16,)}
    """

    class Config(RecurrentConfig, tag="rnn"):
        """Options, with their bounds."""

    activation: str
    layer_norm: bool

    def _make_cell(self) -> cells.Cell:
        return cells.RNN(self.activation, layer_norm=self.layer_norm)


SimpleRNN = RNN
