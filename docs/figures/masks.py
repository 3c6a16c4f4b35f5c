"""Where the kinds of noise strike: eight units over sixteen steps, a third of them hit."""

import matplotlib.pyplot as plt
import numpy as np

UNITS, STEPS, RATE = 8, 16, 0.3
rng = np.random.default_rng(3)

figure, panels = plt.subplots(1, 4, figsize=(9, 1.9), width_ratios=(2, 2, 2, 1))
each_step = rng.random((UNITS, STEPS)) < RATE
per_sequence = np.repeat(rng.random((UNITS, 1)) < RATE, STEPS, axis=1)
weights = rng.random((UNITS, UNITS)) < RATE
for axes, hit, title, across in (
    (panels[0], each_step, "Dropout\nzero, anew each step", "steps"),
    (panels[1], per_sequence, "recurrent_dropout\nzero, all steps alike", "steps"),
    (panels[2], rng.random((UNITS, STEPS)) < RATE, "zoneout\nthe old value stays", "steps"),
    (panels[3], weights, "weight_drop\nzero in R", "units"),
):
    axes.pcolormesh(hit, cmap="Blues" if "zone" not in title else "Oranges", vmin=0, vmax=1.4, edgecolors="0.8", lw=0.4)
    axes.set(xticks=[], yticks=[], xlabel=across, ylabel="units", aspect="equal")
    axes.set_title(title, fontsize=9)
