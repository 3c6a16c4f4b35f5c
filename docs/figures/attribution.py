"""Which step an answer came from: the marked one."""

import matplotlib.pyplot as plt
from marked import model, x

from elman import inspection

plt.figure(FigureClass=lambda *_, **__: inspection.origins(model, x[3:23]).plot())
