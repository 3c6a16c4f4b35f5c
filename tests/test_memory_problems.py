"""Problems of memory: what is drawn, who remembers how far, and the demo that shows it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from elman import inspection, layers
from elman.cli import demo_memory
from elman.cli.main import main
from elman.errors import UsageError
from elman.inspection import compare_memory
from elman.model import Sequential
from elman.tasks import adding_problem, copy_memory


@pytest.mark.parametrize("steps", [2, 3, 50])
def test_adding_problem(steps: int) -> None:
    x, y = adding_problem(500, steps=steps, rng=1)
    assert x.shape == (500, steps, 2) and y.shape == (500,)
    marks = x[..., 1]
    assert set(np.unique(marks)) <= {0.0, 1.0}
    np.testing.assert_array_equal(marks[:, : steps // 2].sum(axis=1), 1)
    np.testing.assert_array_equal(marks[:, steps // 2 :].sum(axis=1), 1)
    np.testing.assert_allclose((x[..., 0] * marks).sum(axis=1), y, rtol=1e-15)
    assert x[..., 0].min() >= 0 and x[..., 0].max() < 1
    assert np.unique(marks.argmax(axis=1)).size == steps // 2  # the first may stand anywhere in its half


@pytest.mark.parametrize(("lag", "symbols", "length"), [(2, 1, 1), (5, 8, 3), (40, 4, 10)])
def test_copy_memory(lag: int, symbols: int, length: int) -> None:
    x, y, weight = copy_memory(300, lag=lag, symbols=symbols, length=length, rng=1)
    assert x.shape == y.shape == weight.shape == (300, lag + length)
    np.testing.assert_array_equal(x[:, :length], y[:, lag:])
    assert set(np.unique(y[:, lag:])) == set(range(1, symbols + 1))
    assert (weight[:, lag:] == 1).all() and not weight[:, :lag].any() and not y[:, :lag].any()
    between = x[:, length:]
    assert ((between == symbols + 1).sum(axis=1) == 1).all() and (x[:, lag - 1] == symbols + 1).all()
    assert set(np.unique(between)) <= {0, symbols + 1}


def test_the_same_seed_draws_the_same_and_a_generator_goes_on() -> None:
    for draw in (lambda rng: adding_problem(3, steps=6, rng=rng)[0], lambda rng: copy_memory(9, lag=6, rng=rng)[0]):
        np.testing.assert_array_equal(draw(4), draw(4))
        rng = np.random.default_rng(0)
        assert not np.array_equal(draw(rng), draw(rng))


# ruff: noqa: E501 - a table: one fault is one line, its message in one piece
@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: adding_problem(0, steps=5), "n: this is no count, expected an integer >= 1, got 0."),
        (lambda: adding_problem(5, steps=1), "adding_problem: two steps are marked, expected steps >= 2, got 1."),
        (lambda: copy_memory(5, lag=3, length=3), "copy_memory: the symbols are not over before the answers begin, expected lag > length = 3, got 3."),
        (lambda: copy_memory(5, lag=3, symbols=0), "symbols: this is no count, expected an integer >= 1, got 0."),
        (lambda: compare_memory("sorting"), "compare_memory: problem is unknown, expected one of ['adding', 'copy'], got 'sorting'."),
        (lambda: compare_memory(cells=["dense"]), "compare_memory: cell is not accepted, expected one of ['gru', 'lstm', 'rnn'], got 'dense'."),
        (lambda: compare_memory(lags=[20, 10]), "compare_memory: lags do not ascend, expected integers from 4 on, each once, got [20, 10]."),
        (lambda: compare_memory(updates=0), "updates: this is no count, expected an integer >= 1, got 0."),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert str(caught.value) == told


# --- who remembers how far --------------------------------------------------------------------------------------------


def test_lstm_and_rnn_are_told_apart_at_lag_50() -> None:
    """On the adding problem the LSTM learns all of it, the RNN nothing; and their gradients say why."""
    found = compare_memory("adding", cells=["rnn", "lstm"], lags=[25, 50], units=32, updates=400, verbose=0)
    assert found.remembered["lstm"][1] > 0.9 > 0.3 > found.remembered["rnn"][1]
    assert found.reach("lstm") == 50 and found.reach("rnn") == 0
    assert found.curves["rnn"].word(32) == "vanishing" and found.curves["lstm"].word(32) == "healthy"
    assert found.verdict == "Adding problem: remembered over rnn not even 25, lstm 50 steps of 50."
    assert found.updates["rnn"].tolist() == [400, 0]  # what is lost is not trained for longer


def test_what_is_remembered_is_measured_right() -> None:
    """A net that always answers with the mean, or knows nothing, remembers 0; what it says of itself is not asked."""
    found = compare_memory("adding", cells=["gru"], lags=[20], units=4, updates=1, learning_rate=1e-9, verbose=0)
    assert found.remembered["gru"][0] == 0
    again = compare_memory("copy", cells=["gru"], lags=[5], units=32, updates=400, verbose=0)
    assert 0.5 < again.remembered["gru"][0] <= 1


def test_it_can_be_drawn_and_written_down(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    found = compare_memory("copy", lags=[4, 8], units=6, updates=16, verbose=0)
    written = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert written["lags"] == [4, 8] and set(written["cells"]) == {"rnn", "gru", "lstm"}
    assert len(written["cells"]["lstm"]["remembered"]) == 2
    figure = found.plot(tmp_path / "memory.png")
    left, right = figure.axes
    assert len(left.lines) == 3 and len(right.lines) == 4  # three cells, and the line at 1 %
    assert (tmp_path / "memory.png").read_bytes().startswith(b"\x89PNG")


def test_the_demo(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(demo_memory, "_QUICK", {"lags": (4, 6), "units": 4, "updates": 8})
    folder = tmp_path / "new" / "folder"
    assert main(["demo", "memory", "--quick", "-o", str(folder)]) == 0
    out = capsys.readouterr().out
    for told in ("adding problem", "copy memory"):
        assert f"{told}: remembered at lag" in out
    assert "gradient under 1 %" in out and "lstm" in out
    assert f"Saved {folder / 'memory.png'}." in out and "Next: " in out
    assert (folder / "memory.png").exists()

    assert main(["demo", "memory", "--quick", "--json", "--seed", "3", "-o", str(folder)]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [problem["problem"] for problem in data["problems"]] == ["adding", "copy"]
    assert data["picture"] == str(folder / "memory.png")


def test_the_demo_goes_on_without_matplotlib(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(demo_memory, "_QUICK", {"lags": (4,), "units": 4, "updates": 8})
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    assert main(["demo", "memory", "--quick", "-o", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "Saved" not in shown.out and "pip install 'elman[plot]'" in shown.err


def test_the_demo_refuses_a_folder_that_is_none(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "memory", "-o", str(tmp_path / "file")]) == 2
    assert "elman demo memory: --output is not a folder" in capsys.readouterr().err


def test_generators_feed_models_as_they_are() -> None:
    x, y, weight = copy_memory(32, lag=5, symbols=4, rng=0)
    model = Sequential([layers.GRU(4, return_sequences=True), layers.Dense(5)])
    model.compile("adam", "cross_entropy")
    model.fit(x, y, sample_weight=weight, verbose=0, rng=0)
    assert inspection.gradient_by_lag(model, x, y, sample_weight=weight).curves["gru"].lags == 5
