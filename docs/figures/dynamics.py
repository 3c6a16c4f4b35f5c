"""An LSTM that remembers one bit as a dynamical system."""

import matplotlib.pyplot as plt
from marked import model, x

from elman import inspection

plt.figure(FigureClass=lambda *_, **__: inspection.dynamics(model, x[:50]).plot())
