"""The newest published run: how far ahead of the best peer, how near the machine's limit, over the work of a point."""

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator

from benchmarks import results, summary

COLOURS = {"rnn": "#56B4E9", "lstm": "#E69F00", "gru": "#009E73"}
run = results.read(results.published())
most = max(row.threads for row in run.rows)
figure, (ahead, near) = plt.subplots(2, 1, figsize=(8, 7), sharex=True)
for cell, colour in COLOURS.items():
    for what, filled in (("forward", False), ("forward+backward", True)):
        rows = [
            row
            for row in run.rows
            if (row.measure, row.cell, row.dtype, row.threads) == (what, cell, "float32", most) and row.flops
        ]
        rows = [row for row in rows if summary.lead(row) is not None]
        how = {"color": colour, "marker": "o", "ls": "", "ms": 5, "fillstyle": "full" if filled else "none"}
        work = [row.flops / 1e9 for row in rows]
        ahead.plot(work, [summary.lead(row) for row in rows], label=f"{cell.upper()} {what}", **how)
        near.plot(work, [row.of_peak[summary.OURS] for row in rows], **how)
ahead.axhline(1, color="0.2", lw=1)
near.axhline(1, color="0.2", lw=1)
ahead.set(xscale="log", yscale="log", ylabel="best peer's time over elman's")
ahead.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
ahead.yaxis.set_major_formatter("{x:g}×")
ahead.yaxis.set_minor_formatter("")
near.set(ylabel="share of the matrix-product peak", xlabel="work of a call, GFLOP")
ahead.legend(ncols=3, fontsize=8, frameon=False)
ahead.set_title(
    f"one layer, float32, {summary.say_threads(most)}: {run.machine.processor}, {run.date}", loc="left", fontsize=10
)
