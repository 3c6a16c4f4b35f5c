"""How far truncated gradients are from the exact one, in a net that reports the sign of a marked step."""

import matplotlib.pyplot as plt
from marked import model, x, y

from elman import inspection

plt.figure(FigureClass=lambda *_, **__: inspection.truncation_bias(model, x[:200], y[:200]).plot())
