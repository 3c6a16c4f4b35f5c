"""Gates and states of an LSTM over a sequence whose marked step it has to remember."""

import matplotlib.pyplot as plt
from marked import model, x

from elman import inspection

found = inspection.gates_and_states(model, x[:200])
plt.figure(FigureClass=lambda *_, **__: found.plot(sequence=3, signal=x[3]))
