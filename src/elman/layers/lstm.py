"""The long short-term memory layer."""

from __future__ import annotations

from elman import cells
from elman.layers.base import Size
from elman.layers.recurrent import ActivationName, Rate, Recurrent, RecurrentConfig

__all__ = ["LSTM"]


class LSTM(Recurrent):
    """Long short-term memory, Hochreiter & Schmidhuber 1997, with forget gate; see `elman.cells.LSTM`.

    Args:
        units: H, 1 to 65536; the width of c.
        return_sequences: as in `RNN`, like all that is not named here.
        activation: of g and of c'.
        recurrent_activation: of the gates i, f and o.
        peephole: whether the gates see the cell state (Gers, Schraudolph & Schmidhuber 2002).
        coupled: whether the input gate is 1 − f (Greff et al. 2017).
        projection: width of h, less than H (Sak, Senior & Beaufays 2014); None for H.
        zoneout_cell: share of c that training leaves as it was; `zoneout` is that of h.

    Raises:
        UsageError: if an option is out of its bounds.

    Example:
        >>> LSTM(128, return_sequences=True).param_shapes(input_size=65)["weight_ih"]
        (512, 65)
        >>> LSTM(128, projection=32).output_size(input_size=65)
        32
    """

    class Config(RecurrentConfig, tag="lstm"):
        """Options, with their bounds."""

        recurrent_activation: ActivationName = "sigmoid"
        peephole: bool = False
        coupled: bool = False
        projection: Size | None = None
        zoneout_cell: Rate = 0.0

    activation: str
    recurrent_activation: str
    peephole: bool
    coupled: bool
    projection: int | None
    layer_norm: bool
    zoneout_cell: float

    def _make_cell(self) -> cells.Cell:
        cell = cells.LSTM(
            self.activation,
            self.recurrent_activation,
            peephole=self.peephole,
            coupled=self.coupled,
            projection=self.projection,
            layer_norm=self.layer_norm,
        )
        cell.param_shapes(1, self.units)  # says now if the projection is too wide
        return cell
