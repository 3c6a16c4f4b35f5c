"""Three sequences of 4, 2 and 5 steps: as they lie in a Ragged, and as the kernels walk over them."""

import matplotlib.pyplot as plt
import numpy as np

from elman import Ragged

COLOURS = ("#56B4E9", "#E69F00", "#009E73")
batch = Ragged(np.arange(11), lengths=[4, 2, 5])
order = np.argsort(-batch.lengths, kind="stable")

figure, (grid, values, tape) = plt.subplots(3, 1, figsize=(8, 4.4), height_ratios=(3, 1, 1))


def cell(axes, column, row, sequence, step):
    """Draw one step of one sequence."""
    axes.add_patch(plt.Rectangle((column, row), 0.94, 0.9, color=COLOURS[sequence]))
    axes.text(column + 0.47, row + 0.45, f"{'abc'[sequence]}{step}", ha="center", va="center")


for sequence, length in enumerate(batch.lengths):
    for step in range(length):
        cell(grid, step, 2 - sequence, sequence, step)
        cell(values, batch.offsets[sequence] + step, 0, sequence, step)
column = 0
for step in range(batch.lengths.max()):
    for sequence in order[batch.lengths[order] > step]:
        cell(tape, column, 0, sequence, step)
        column += 1
    tape.axvline(column - 0.03, color="0.2", lw=1.5)
for axes, title, rows in (
    (grid, "three sequences", 3),
    (values, f"Ragged.values: sequence after sequence; offsets {', '.join(map(str, batch.offsets))}", 1),
    (tape, "the tape: step after step, longest sequence first; a line where a step ends", 1),
):
    axes.set(xlim=(-0.1, 11.1), ylim=(-0.1, rows))
    axes.set_title(title, loc="left", fontsize=10)
    axes.axis("off")
