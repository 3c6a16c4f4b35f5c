"""The network of the textbook, unrolled over four steps, with the way that the gradient of the last error takes."""

import matplotlib.pyplot as plt

FORTH, BACK = "#0072B2", "#D55E00"  # blue and vermilion of Okabe & Ito (2008)

figure, axes = plt.subplots(figsize=(8, 3.4))
arrow = dict(arrowstyle="-|>", shrinkA=14, shrinkB=14, lw=1.4)
for t in range(4):
    for height, name in ((0, f"$x_{t}$"), (1, f"$s_{t}$"), (2, f"$\\hat y_{t}$")):
        if height == 2 and t < 3:
            continue
        circle = dict(boxstyle="circle,pad=0.35", fc="white", ec="0.3")
        axes.text(2 * t, height, name, ha="center", va="center", bbox=circle, fontsize=12)
    axes.annotate("", (2 * t, 1), (2 * t, 0), arrowprops=dict(arrow, color=FORTH))
    axes.text(2 * t - 0.12, 0.5, "U", ha="right", va="center", color=FORTH)
    if t:
        axes.annotate("", (2 * t, 1), (2 * t - 2, 1), arrowprops=dict(arrow, color=FORTH))
        axes.text(2 * t - 1, 0.9, "W", ha="center", va="top", color=FORTH)
        bent = dict(arrow, color=BACK, connectionstyle="arc3,rad=0.28", ls="--")
        axes.annotate("", (2 * t - 2, 1.08), (2 * t, 1.08), arrowprops=bent)
        axes.text(2 * t - 1, 1.52, rf"$\partial s_{t}/\partial s_{t - 1}$", ha="center", color=BACK, fontsize=11)
axes.annotate("", (6, 2), (6, 1), arrowprops=dict(arrow, color=FORTH))
axes.text(6.12, 1.55, "V", ha="left", va="center", color=FORTH)
axes.annotate("", (7.3, 2), (6, 2), arrowprops=dict(arrow, color=FORTH, shrinkB=16))
axes.text(7.3, 2, "$E_3$", ha="center", va="center", fontsize=12)
axes.set(xlim=(-0.8, 7.7), ylim=(-0.4, 2.4))
axes.axis("off")
