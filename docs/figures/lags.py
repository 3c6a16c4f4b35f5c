"""Gradient by lag of an RNN and of an LSTM that learned to report the sign of a marked step."""

import matplotlib.pyplot as plt
from marked import learned, marked

from elman import inspection, layers

x, y = marked(1500, 40)
curves = {}
for layer in (layers.RNN(12, name="rnn"), layers.LSTM(12, name="lstm")):
    found = inspection.gradient_by_lag(learned(layer, x, y, rate=0.01), x[:200], y[:200])
    curves |= found.curves
both = inspection.GradientByLag(curves, found.places, found.needs)
plt.figure(FigureClass=lambda *_, **__: both.plot())
