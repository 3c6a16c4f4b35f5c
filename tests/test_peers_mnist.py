"""The tutorials' digits, read row by row: the same weights and batches in torch give the same losses."""

import numpy as np
import pytest
from test_examples import load

import elman
from elman import layers
from elman.training import Adam

torch = pytest.importorskip("torch", reason="torch is not installed (make test-peers installs it)")
from torch_net import elman_arrays, recurrent  # noqa: E402

pytestmark = pytest.mark.peers

STEPS, BATCH, LEARNING_RATE = 200, 50, 1e-4


def test_two_hundred_float32_losses_agree_with_torch(data_file, monkeypatch):
    monkeypatch.setenv("ELMAN_DATA", str(data_file("mnist/train-images-idx3-ubyte.gz").parent.parent))
    x, y = (part[: STEPS * BATCH] for part in load("mnist_rows").read("train"))
    torch.manual_seed(0)
    body, head = recurrent("lstm", 28, 100, layers=1).float(), torch.nn.Linear(100, 10)

    model = elman.Sequential([layers.LSTM(100), layers.Dense(10)])
    model.compile(Adam(LEARNING_RATE), "cross_entropy")
    model.build(28)
    weights = {f"lstm.{name}": array for name, array in elman_arrays(body, 0).items()}
    model.set_weights(weights | {f"dense.{name}": p.detach().numpy() for name, p in head.named_parameters()})

    optimizer = torch.optim.Adam(
        [p for p in (*body.parameters(), *head.parameters()) if p.requires_grad], LEARNING_RATE
    )
    ours, theirs = [], []
    for start in range(0, STEPS * BATCH, BATCH):
        images, digits = x[start : start + BATCH], y[start : start + BATCH].astype(np.int64)
        ours.append(model.train_on_batch(images, digits))
        loss = torch.nn.functional.cross_entropy(
            head(body(torch.from_numpy(images))[0][:, -1]), torch.from_numpy(digits)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(loss.item())
    # Something was learned, so that there was something to agree on: a classifier that knows nothing stays at log 10.
    assert np.mean(theirs[-20:]) < 2.25 < np.mean(theirs[:20])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)  # 2e-7 here; other instruction sets add in other orders
