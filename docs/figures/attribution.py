"""Which step an answer came from: the marked one."""

import matplotlib.pyplot as plt
from marked import model, x

from elman import inspection

plt.figure(FigureClass=lambda *_, **__: inspection.attribute(model, x[:20]).plot(sequence=3))
