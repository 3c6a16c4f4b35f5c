"""Every cell written down a second time, from its docstring and its paper, to compare with.

Nothing here comes from `elman.cells`: one sequence, one step, one gate at a time, in NumPy or, where
autograd is to take the gradients, in torch.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

FUNCTIONS = {
    "tanh": lambda xp, a: xp.tanh(a),
    "sigmoid": lambda xp, a: 1 / (1 + xp.exp(-a)),
    "relu": lambda xp, a: xp.clip(a, 0, None),
    "hard_sigmoid": lambda xp, a: xp.clip(a / 6 + 0.5, 0, 1),
    "identity": lambda xp, a: a,
}


def norm(xp, a):
    """Ba, Kiros & Hinton 2016, equation 2, before gain and bias."""
    mean = a.mean()
    variance = ((a - mean) ** 2).mean()
    return (a - mean) / xp.sqrt(variance + 1e-5)


def parts(array, names):
    """Cut a vector or the rows of a matrix into blocks with names."""
    height = len(array) // len(names)
    return {name: array[k * height : (k + 1) * height] for k, name in enumerate(names)}


def rnn_step(xp, o, w, x, state, mask):
    """Elman 1990."""
    from_x, from_h = w["weight_ih"] @ x, w["weight_hh"] @ (state[0] * mask)
    if o.layer_norm:
        from_x, from_h = norm(xp, from_x) * w["gain_ih"], norm(xp, from_h) * w["gain_hh"]
    return (FUNCTIONS[o.activation](xp, from_x + from_h + w["bias"]),)


def lstm_step(xp, o, w, x, state, mask):
    """Gers et al. 2000, with peepholes, coupled gates, normalisation and a projection."""
    phi, sigma = FUNCTIONS[o.activation], FUNCTIONS[o.recurrent_activation]
    h, c = state
    names = "fgo" if o.coupled else "ifgo"
    from_x, from_h = w["weight_ih"] @ x, w["weight_hh"] @ (h * mask)
    if o.layer_norm:
        from_x, from_h = norm(xp, from_x) * w["gain_ih"], norm(xp, from_h) * w["gain_hh"]
    a = parts(from_x + from_h + w["bias"], names)
    see = parts(w["peephole"], names.replace("g", "")) if o.peephole else dict.fromkeys("ifo", 0.0)
    f = sigma(xp, a["f"] + see["f"] * c)
    i = 1 - f if o.coupled else sigma(xp, a["i"] + see["i"] * c)
    c_new = f * c + i * phi(xp, a["g"])
    out = sigma(xp, a["o"] + see["o"] * c_new)
    shown = norm(xp, c_new) * w["gain_c"] + w["bias_c"] if o.layer_norm else c_new
    h_new = out * phi(xp, shown)
    return (h_new if o.projection is None else w["weight_hr"] @ h_new), c_new


def gru_step(xp, o, w, x, state, mask):
    """Cho et al. 2014: the reset before the product with R_n, or after it as in cuDNN."""
    phi, sigma = FUNCTIONS[o.activation], FUNCTIONS[o.recurrent_activation]
    (h,) = state
    weight = parts(w["weight_hh"], "rzn")
    gain = parts(w["gain_hh"], "rzn") if o.layer_norm else None
    from_x = w["weight_ih"] @ x
    if o.layer_norm:
        from_x = norm(xp, from_x) * w["gain_ih"]
    ax = parts(from_x + w["bias"], "rzn")
    names = "rzn" if o.reset_after else "rz"
    product = w["weight_hh"][: len(names) * len(h)] @ (h * mask)
    ah = parts(norm(xp, product) if o.layer_norm else product, names)
    if o.layer_norm:
        ah = {name: part * gain[name] for name, part in ah.items()}
    r, z = sigma(xp, ax["r"] + ah["r"]), sigma(xp, ax["z"] + ah["z"])
    if o.reset_after:
        n = phi(xp, ax["n"] + r * (ah["n"] + w["bias_hn"]))
    else:
        product = weight["n"] @ (r * (h * mask))
        n = phi(xp, ax["n"] + (norm(xp, product) * gain["n"] if o.layer_norm else product))
    return ((1 - z) * n + z * h,)


STEPS = {"rnn": rnn_step, "lstm": lstm_step, "gru": gru_step}


def run(cell, weights, x, state, noise=None, *, xp=np):
    """Run a cell over a batch, sequence after sequence.

    Args:
        cell: only its name and its options are read.
        weights: name -> array.
        x: a Ragged, or a list of arrays (T, I).
        state: parts, each (B, ·).
        noise: h_mask, zone_h, zone_c and weight_mask as in `elman.ops.noise.Noise`, by attribute; None for none.
        xp: numpy, or torch for tensors with gradients.

    Returns:
        The outputs of every sequence, a list of (T, ·) arrays; the parts of the last state, each (B, ·).
    """
    step, options = STEPS[cell.name], SimpleNamespace(**cell.config())
    noise = SimpleNamespace(**({"h_mask": None, "zone_h": 0.0, "zone_c": 0.0, "weight_mask": None} | as_dict(noise)))
    if noise.weight_mask is not None:
        weights = {**weights, "weight_hh": weights["weight_hh"] * noise.weight_mask}
    outputs, ends, row = [], [], 0
    for b, sequence in enumerate(x):
        now = [part[b] for part in state]
        steps = []
        for value in sequence:
            mask = 1.0 if noise.h_mask is None else noise.h_mask[b]
            new = step(xp, options, weights, value, now, mask)
            zones = [zone[row] if hasattr(zone, "shape") else zone for zone in (noise.zone_h, noise.zone_c)]
            now = [zone * old + (1 - zone) * part for zone, old, part in zip(zones, now, new, strict=False)]
            steps.append(now[0])
            row += 1
        outputs.append(steps)
        ends.append(now)
    return [xp.stack(steps) if steps else state[0][:0] for steps in outputs], [
        xp.stack(last) for last in zip(*ends, strict=True)
    ]


def as_dict(noise):
    """Give the fields of a Noise by name."""
    return {} if noise is None else noise._asdict()
