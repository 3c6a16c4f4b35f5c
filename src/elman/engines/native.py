"""The engine that runs on this machine's processor: layer after layer, and back."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from elman.errors import UsageError, say
from elman.layers import Layer, Wrapper
from elman.ops import losses
from elman.ops.losses import Loss
from elman.ops.losses.base import Result
from elman.ops.workspace import Workspace, activate
from elman.ragged import Ragged
from elman.training.batches import Batch
from elman.training.loop import Observe, State
from elman.training.parameters import Parameters

__all__ = ["Engine", "loss_layers"]

Array = NDArray[Any]
Flow = Ragged | Array


class _Local(threading.local):
    """What each thread has for itself."""

    def __init__(self) -> None:
        self.workspace = Workspace()


class Engine:
    """Run batches: one forward for prediction, evaluation and training.

    What is worth keeping between calls (scratch memory, packed weights) is kept per thread, so any
    number of threads may predict at once. What is returned is never scratch memory.

    Args:
        layers: bound to `parameters`; one may stand twice.
        parameters: of these layers.
        loss: what `elman.losses.get` takes, or None for an engine that only predicts.

    Raises:
        UsageError: if the loss is unknown or does not fit the last layer.

    Example:
        >>> from elman import layers
        >>> parts = [layers.LSTM(8, name="lstm"), layers.Dense(1, name="dense")]
        >>> parameters = Parameters.build(parts, 3, dtype="float64", rng=np.random.default_rng(0))
        >>> engine = Engine(parts, parameters, "squared_error")
        >>> engine.forward(Ragged.from_dense(np.zeros((5, 4, 3))))[0].shape
        (5, 1)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        parameters: Parameters,
        loss: str | Mapping[str, Any] | Loss | None = None,
    ) -> None:
        self.layers = tuple(layers)
        self.parameters = parameters
        self.loss = None if loss is None else losses.get(loss)
        # With cross-entropy the softmax of the last layer is part of the loss; everything below it is the same objects.
        self._loss_layers = self.layers if self.loss is None else loss_layers(self.layers, self.loss)
        # The bound method: with tiny batches, looking `__call__` up is a tenth of what the loss costs.
        self._compute = _no_loss if self.loss is None else self.loss.__call__
        # Of labels nobody says which step they belong to, so that loss is given the sequences as they are.
        self._of_sequences = self.loss is not None and self.loss.targets == "labels"
        grads = [parameters.grads_of(layer) for layer in self.layers]
        # Nothing below the first layer with parameters is asked for a gradient.
        first = next((index for index, own in enumerate(grads) if own), len(grads))
        steps = list(zip(range(len(grads)), self._loss_layers, grads, strict=True))
        self._backward = [(index, layer, own, index > first) for index, layer, own in reversed(steps[first:])]
        self._local = _Local()

    def forward(
        self, x: Flow, *, state: State | None = None, rng: np.random.Generator | None = None
    ) -> tuple[Flow, State]:
        """Run a batch through all layers.

        Args:
            x: values (N, I) or token ids (N,).
            state: one tuple per layer, each part (B, H); zeros if None.
            rng: given while training; None is deterministic.

        Returns:
            What the last layer gives, values (N, K) or (B, K), and the last state; both are copies.
        """
        workspace = self._free_workspace()
        with activate(workspace):
            workspace.begin()
            out, last, _ = self._run(self.layers, x, state, rng, tape=False)
            return (out.with_values(out.values.copy()) if isinstance(out, Ragged) else out.copy()), _copied(last)

    def loss_only(
        self, batch: Batch, *, state: State | None = None, observe: Observe | None = None, want_state: bool = True
    ) -> tuple[float, float, State | None]:
        """Compute the loss of a batch.

        Args:
            batch: input, targets and weights.
            state: one tuple per layer; zeros if None.
            observe: is shown the outputs (logits, where the loss takes logits), targets and weights.
            want_state: whether the last state is wanted.

        Returns:
            The mean loss, Σ w, and the last state, or None if not wanted.
        """
        workspace = self._free_workspace()
        with activate(workspace):
            workspace.begin()
            out, last, _ = self._run(self._loss_layers, batch.x, state, None, tape=False)
            shown, target, weights = self._shown(out), self._shown(batch.target), self._shown(batch.weights)
            loss, weight, _ = self._compute(shown, target, weights=weights, want_grad=False)
            if observe is not None:
                observe(shown, target, weights)
            return loss, weight, _copied(last) if want_state else None

    def loss_and_gradients(
        self,
        batch: Batch,
        *,
        state: State | None = None,
        rng: np.random.Generator | None = None,
        observe: Observe | None = None,
        want_state: bool = True,
    ) -> tuple[float, float, State | None]:
        """Compute the loss of a batch and its gradient with respect to all parameters.

        The gradient does not go through `state` into the batch before (truncated backpropagation).

        Args:
            batch: input, targets and weights.
            state: one tuple per layer; zeros if None.
            rng: given to the layers while training.
            observe: is shown the outputs (logits, where the loss takes logits), targets and weights.
            want_state: whether the last state is wanted.

        Returns:
            The mean loss, Σ w, and the last state, or None if not wanted; `parameters.grads` holds the
            gradient of the mean loss.
        """
        workspace = self._free_workspace()
        with activate(workspace):
            workspace.begin()
            out, last, tapes = self._run(self._loss_layers, batch.x, state, rng, tape=True)
            shown, target, weights = self._shown(out), self._shown(batch.target), self._shown(batch.weights)
            loss, weight, d_rows = self._compute(shown, target, weights=weights)
            dy: Any = out.with_values(d_rows) if isinstance(out, Ragged) else d_rows  # type: ignore[arg-type]  # never None: it was asked for
            if observe is not None:
                observe(shown, target, weights)
            self.parameters.grads.fill(0)
            for index, layer, grads, want_dx in self._backward:
                dy, _, _ = layer.backward(dy, tapes[index], grads, want_dx=want_dx)
            return loss, weight, _copied(last) if want_state else None

    def _free_workspace(self) -> Workspace:
        """Give the thread's workspace; a new one to a signal handler that predicts while the thread is in a batch."""
        workspace = self._local.workspace
        return Workspace() if workspace.active else workspace

    def _run(
        self, layers: tuple[Layer, ...], x: Flow, state: State | None, rng: np.random.Generator | None, *, tape: bool
    ) -> tuple[Flow, list[tuple[Array, ...]], list[Any]]:
        """Run forward; the results lie in the workspace."""
        out = x
        last: list[tuple[Array, ...]] = []
        tapes: list[Any] = []
        for index, layer in enumerate(layers):
            out, after, kept = layer.forward(out, state=state[index] if state is not None else None, rng=rng, tape=tape)
            last.append(after)
            tapes.append(kept)
        return out, last, tapes

    def _shown(self, out: Any) -> Any:
        """Give what loss and metrics see of outputs, targets, weights: rows, or sequences where targets are labels."""
        return out.values if isinstance(out, Ragged) and not self._of_sequences else out


def _no_loss(*_: Any, **__: Any) -> Result:
    """Stand where the loss of an engine that only predicts would be."""
    raise UsageError(say("engine", "it has no loss", cure="Compile the model with one"))


def _copied(state: list[tuple[Array, ...]]) -> State:
    """Take states out of scratch memory."""
    return tuple(tuple(part.copy() for part in parts) for parts in state)


def loss_layers(layers: Sequence[Layer], loss: Loss) -> tuple[Layer, ...]:
    """Give the layers whose output the loss takes: a softmax before cross-entropy is set aside.

    Args:
        layers: of the model.
        loss: of the model.

    Raises:
        UsageError: if the loss takes logits and something else comes out of the model.
    """
    last = layers[-1]
    if loss.activation is None:
        return tuple(layers)
    # Dropout or pooling at the end hands on what the layer before it made: a softmax is one still.
    maker = next((layer for layer in reversed(layers) if not layer.passes_values), last)
    inner = maker
    while isinstance(inner, Wrapper):
        inner = inner.layer
    activation = getattr(inner, "activation", None)
    if maker.state_sizes() or (activation is not None and (inner is not last or activation != loss.activation)):
        raise UsageError(_no_logits(last, maker, activation, loss))
    if activation is None:
        return tuple(layers)
    return (*layers[:-1], last.logits())  # type: ignore[attr-defined]  # Dense is the layer with such an activation


def _no_logits(last: Layer, maker: Layer, activation: str | None, loss: Loss) -> str:
    """Say that no logits come out of a model, and what would give them."""
    who = {"binary": "binary cross-entropy", "labels": "ctc"}.get(loss.targets, "cross-entropy")
    units = {"binary": "1", "labels": "n_labels + 1"}.get(loss.targets, "n_classes")
    cure = f"End with Dense({units}), or Dense({units}, activation='{loss.activation}')"
    if loss.targets == "labels":
        cure += "; predict then gives logits, or probabilities, of which beam_decode is told by probabilities=True"
    if loss.targets == "class" and activation == "sigmoid":
        cure += "; for one output that says yes or no take loss='binary_crossentropy'"
    got = f"the last layer '{maker.name}' ({maker.kind}" + (f", {activation})" if activation else ")")
    if maker is not last:
        got = f"{got.removeprefix('the last ')} before the last layer '{last.name}' ({last.kind})"
    expected = f"no activation or {loss.activation}"
    return say("compile", f"{who} takes logits or {loss.activation}", expected=expected, got=got, cure=cure)
