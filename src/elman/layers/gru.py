"""The gated recurrent layer."""

from __future__ import annotations

from elman import cells
from elman.layers.recurrent import ActivationName, Recurrent, RecurrentConfig

__all__ = ["GRU"]


class GRU(Recurrent):
    """Gated recurrent unit, Cho et al. 2014; see `elman.cells.GRU`.

    Args:
        units: H, 1 to 65536.
        return_sequences: as in `RNN`, like all that is not named here.
        activation: of the new gate n.
        recurrent_activation: of the gates r and z.
        reset_after: whether the reset gate multiplies R h, as in cuDNN, PyTorch and Keras, or h, as in the paper.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> GRU(8).param_shapes(input_size=3)["bias_hn"]
        (8,)
    """

    class Config(RecurrentConfig, tag="gru"):
        """Options, with their bounds."""

        recurrent_activation: ActivationName = "sigmoid"
        reset_after: bool = True

    activation: str
    recurrent_activation: str
    reset_after: bool
    layer_norm: bool

    def _make_cell(self) -> cells.Cell:
        return cells.GRU(
            self.activation, self.recurrent_activation, reset_after=self.reset_after, layer_norm=self.layer_norm
        )
