"""The report: what it asks of every kind of model, what it says it looked at, and the page without a browser."""

from __future__ import annotations

import json
import re
import warnings
from html.parser import HTMLParser

import numpy as np
import pytest

import elman
from elman import LanguageModel, SequenceClassifier, SequenceTagger, Sequential, inspection, layers
from elman.errors import DataError, NotFittedError, UsageError
from elman.inspection.sections import SECTIONS
from elman.training import History

ALL = list(SECTIONS)
GRADIENTS = ["gradient_by_lag", "contributions", "truncation_bias"]
TEXT = 'one "two" three\nfour five\n' * 30


@pytest.fixture(scope="module")
def writer():
    """Give a character model."""
    return LanguageModel(layers=2, hidden=12, batch=4, steps=20, epochs=2, random_state=0, verbose=0).fit(TEXT)


def classifier(*parts, features=2, steps=12, n=30):
    """Give a compiled model with weights, and data."""
    model = Sequential(list(parts))
    model.compile("adam", "cross_entropy")
    model.build(features, rng=0)
    rng = np.random.default_rng(0)
    return model, rng.standard_normal((n, steps, features)), np.arange(n) % 2


def found(report):
    return [section.name for section in report if section.finding is not None]


# --- what is asked of whom --------------------------------------------------------------------------------------------


def test_a_language_model_needs_no_data(writer):
    report = elman.inspect(writer, steps=200, verbose=0)
    assert found(report) == ALL
    assert report.sample == "200 characters of text that the model wrote itself"
    again = elman.inspect(writer, steps=200, verbose=0)
    assert report.to_dict() == again.to_dict()


def test_a_part_of_the_data_is_looked_at_and_said(writer):
    report = elman.inspect(writer, TEXT, steps=150, verbose=0)
    assert report.sample == f"the first 150 of {len(TEXT) - 1} characters of the text"
    assert report.subject.x.n_steps == 150
    model, x, y = classifier(layers.GRU(4), layers.Dense(2))
    report = elman.inspect(model, x, y, steps=120, verbose=0)
    assert report.sample == "10 of 30 sequences"
    np.testing.assert_array_equal(report.subject.x.values[-12:], x[-1].astype(np.float32))  # spread over all of them
    assert report.subject.y.tolist() == y[np.linspace(0, 29, 10).round().astype(int)].tolist()


def test_without_targets_the_questions_about_gradients_are_left_out():
    model, x, y = classifier(layers.LSTM(4), layers.Dense(2))
    report = elman.inspect(model, x, verbose=0)
    assert found(report) == ["states", "attribution", "dynamics"]
    for name in GRADIENTS:
        assert report[name].verdict.startswith("Needs targets")
        with pytest.raises(UsageError, match="there is no such picture"):
            report[name].plot()
    model.fit(x, y, epochs=2, verbose=0, rng=0)
    assert found(elman.inspect(model, verbose=0)) == ["training"]
    loose = Sequential([layers.LSTM(4), layers.Dense(2)])
    loose.build(2, rng=0)
    assert "call model.compile" in elman.inspect(loose, x, y, verbose=0)["gradient_by_lag"].verdict


def test_what_reads_from_both_ends_has_no_sum_over_earlier_steps():
    model, x, y = classifier(layers.Bidirectional(layers.GRU(4)), layers.Dense(2))
    report = elman.inspect(model, x, y, verbose=0)
    assert [name for name in ALL[:-1] if report[name].finding is None] == ["contributions", "truncation_bias"]
    assert "bidirectional needs whole sequences" in report["contributions"].verdict


FORMS = {
    "a class per step": lambda: [layers.RNN(4, return_sequences=True), layers.Dense(2)],
    "encoder and decoder": lambda: [
        layers.GRU(4),
        layers.RepeatVector(3),
        layers.GRU(4, return_sequences=True),
        layers.Dense(2),
    ],
    "attention": lambda: [layers.LSTM(4, return_sequences=True), layers.AttentionPooling(), layers.Dense(2)],
    "residual and pooling": lambda: [
        layers.Residual(layers.LSTM(2, return_sequences=True)),
        layers.Pooling("mean_max"),
        layers.Dense(2),
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_model_can_be_looked_at(form, tmp_path):
    model, x, y = classifier(*FORMS[form]())
    x = [x[0], x[1][:1], *x[2:]]  # of different lengths, one of a single step
    if form == "a class per step":
        y = [np.full(len(part), label) for part, label in zip(x, y, strict=True)]
    elif form == "encoder and decoder":
        y = np.repeat(y[:, None], 3, axis=1)
    report = elman.inspect(model, x, y, verbose=0)
    report.save(tmp_path / "report.json")
    assert set(found(report)) >= {"gradient_by_lag", "states", "attribution", "dynamics"}


def test_one_long_stream_is_cut_where_it_answers_each_step():
    model = Sequential([layers.GRU(4, return_sequences=True), layers.Dense(1)])
    model.compile("sgd", "mse")
    model.build(1, rng=0)
    x = np.random.default_rng(0).standard_normal((1, 900, 1))
    report = elman.inspect(model, x, x, steps=100, verbose=0)
    assert report.sample == "the first 100 of 900 steps"
    assert found(report) == ALL[:-1]


def test_words_are_looked_at_from_their_numbers_upward():
    x = [["a", "cat", "sat"], ["the", "dog", "ran", "home"]] * 8 + [[]]
    y = [["D", "N", "V", "N"][: len(part)] for part in x]
    tagger = SequenceTagger(hidden=8, epochs=1, random_state=0, verbose=0).fit(x, y)
    inside = tagger.to_network(x, y)
    out = inside.model.predict(inside.x)
    probabilities = np.exp(out.values) / np.exp(out.values).sum(axis=1, keepdims=True)
    expected = np.concatenate([p for p in tagger.predict_proba(x) if len(p)])
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert inside.steps[:7] == ["a", "cat", "sat", "the", "dog", "ran", "home"] and inside.outputs == ["D", "N", "V"]
    report = elman.inspect(tagger, x, y, verbose=0)
    assert "what reads the spelling is not looked into" in report.remark
    assert "class" in report["states"].finding.tracked
    json.dumps(report.to_dict(), allow_nan=False)


def test_an_adder_makes_its_sums():
    adder = elman.BinaryAdder(examples=100, random_state=0).fit()
    report = elman.inspect(adder, steps=80, verbose=0)
    assert report.sample == "10 random sums" and found(report) == ALL


def test_large_networks_are_looked_at_in_fewer_places(monkeypatch):
    from elman.inspection import sections

    model, x, y = classifier(layers.LSTM(4, return_sequences=True), layers.Dense(2), steps=300, n=1)
    y = np.zeros((1, 300), int)
    assert elman.inspect(model, x, y, verbose=0)["gradient_by_lag"].sample == "64 positions t, lags 0 to 299"
    monkeypatch.setattr(sections, "_WEIGHTS", 0)
    assert elman.inspect(model, x, y, verbose=0)["gradient_by_lag"].sample == "8 positions t, lags 0 to 64"


def test_what_cannot_be_looked_at_is_refused(writer):
    with pytest.raises(UsageError, match="inspect: model is none, expected a Sequential"):
        elman.inspect("model.elman")
    with pytest.raises(NotFittedError):
        elman.inspect(Sequential([layers.GRU(2)]), np.zeros((1, 2, 2)))
    with pytest.raises(NotFittedError):
        elman.inspect(SequenceClassifier())
    with pytest.raises(UsageError, match="steps: this is no count"):
        elman.inspect(writer, steps=0)
    with pytest.raises(UsageError, match="a task takes no lengths"):
        elman.inspect(writer, TEXT, lengths=[3])
    with pytest.raises(DataError, match="expected at least 2"):
        elman.inspect(writer, "a")
    report = elman.inspect(writer, steps=50, verbose=0)
    with pytest.raises(UsageError, match=r"expected \.html or \.json"):
        report.save("report.pdf")


# --- what it says -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("radius", "word"), [(0.5, "Vanishing"), (1.5, "Exploding")])
def test_the_report_names_what_the_spectral_radius_decides(radius, word):
    model = Sequential([layers.RNN(8, return_sequences=True), layers.Dense(1)], dtype="float64")
    model.compile("sgd", "mse")
    model.build(1, rng=0)
    weights = model.named_weights()
    drawn = np.random.default_rng(3).standard_normal((8, 8))
    weights["rnn.weight_hh"] = radius * drawn / np.abs(np.linalg.eigvals(drawn)).max()
    model.set_weights(weights)
    report = elman.inspect(model, np.zeros((1, 60, 1)), np.ones((1, 60, 1)), verbose=0)  # at rest the Jacobian is R
    assert report["gradient_by_lag"].verdict.startswith(word)


def adding(n, steps, rng):
    """Give the adding problem: the sum of the two marked numbers, one of them among the first steps."""
    x = np.stack([rng.random((n, steps)), np.zeros((n, steps))], axis=2)
    first, second = rng.integers(0, steps // 10, n), rng.integers(steps // 2, steps, n)
    x[np.arange(n), first, 1] = x[np.arange(n), second, 1] = 1
    return x, x[np.arange(n), first, :1] + x[np.arange(n), second, :1]


def test_the_adding_problem_tells_an_lstm_from_an_rnn():
    """What has to be remembered lies 25 to 50 steps back: nothing of that reaches an RNN; an LSTM learns."""
    losses = {}
    for kind, word in ((layers.RNN, "Vanishing"), (layers.LSTM, "Healthy")):
        rng = np.random.default_rng(1)
        x, y = adding(2000, 50, rng)
        model = Sequential([kind(24), layers.Dense(1)])
        model.compile({"type": "adam", "learning_rate": 0.005}, "mse", clip=1.0)
        history = model.fit(x, y, epochs=13, batch_size=50, verbose=0, rng=1)
        losses[kind] = history.history["loss"][-1]
        report = elman.inspect(model, *adding(40, 50, rng), needs=40, verbose=0)
        assert report["gradient_by_lag"].verdict.startswith(word)
    assert losses[layers.RNN] > 0.15  # it says 1, whatever it sees: the variance of a sum of two numbers is 1/6
    assert losses[layers.LSTM] < 0.12


def test_planted_steps_are_named_through_the_report():
    """One marked step decides the class; `attribute` names it, and so does the report's section."""
    rng = np.random.default_rng(0)
    n, steps = 1200, 12
    x = np.stack([rng.standard_normal((n, steps)), np.zeros((n, steps))], axis=2)
    at = rng.integers(0, steps, n)
    x[np.arange(n), at] = np.stack([2.0 * rng.choice([-1, 1], n), np.ones(n)], axis=1)
    y = (x[np.arange(n), at, 0] > 0).astype(int)
    model = Sequential([layers.GRU(16), layers.Dense(2)])
    model.compile({"type": "adam", "learning_rate": 0.02}, "cross_entropy")
    model.fit(x[:1000], y[:1000], epochs=10, batch_size=50, verbose=0, rng=0)
    where = inspection.origins(model, elman.Ragged.from_dense(x[1000:]))
    assert (where.found.top() == at[1000:]).mean() >= 0.95
    assert set(where.first) == {"gradient_x_input", "integrated_gradients", "occlusion"}
    assert "all three ways of asking name step" in where.verdict
    assert where.by_distance.sum() == pytest.approx(1)


# --- the page ---------------------------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page: ids, addresses, and whether every element is closed."""

    VOID = ("meta", "link", "br", "input", "path", "use", "image")

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.addresses, self.titles = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.ids += [named["id"]] if "id" in named else []
        self.addresses += [named[key] for key in ("src", "href", "xlink:href") if key in named]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()


def test_the_page_is_whole_and_needs_nothing_else(tmp_path):
    pytest.importorskip("matplotlib")
    rude = "</script><script>alert(1)</script>"
    text = f"{rude} & 你好 \n" * 20
    model = LanguageModel(layers=1, hidden=6, batch=2, steps=10, epochs=1, random_state=0, verbose=0).fit(text)
    path = tmp_path / "report.html"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = elman.inspect(model, text[:300], name=rude, verbose=0)
        report.save(path)
    written = path.read_text("utf-8")
    page = Page(written)
    assert page.open == [] and len(set(page.ids)) == len(page.ids)
    assert set(ALL) <= set(page.ids)
    for address in page.addresses:
        assert address.startswith(("#", "data:")), address
        assert not address.startswith("#") or address[1:] in page.ids
    assert all(target in page.ids for target in re.findall(r"url\(#([^)]+)\)", written))
    assert "alert(1)</script>" not in written
    assert path.stat().st_size < 3_000_000
    (data,) = re.findall(r'<script type="application/json" id="unit-data">(.*?)</script>', written, re.DOTALL)
    units = json.loads(data)
    assert "".join(units["sequences"][0]["names"]) == text[:299]
    import base64

    values = np.frombuffer(base64.b64decode(units["parts"][0]["values"]), np.int8).reshape(6, 299)
    scales = np.array(units["parts"][0]["scales"])
    h = report["states"].finding.of("lstm", "h").T
    np.testing.assert_allclose(values / 127 * scales[:, None], h, atol=0.006)  # eight bits, scales of three digits
    for section in report:
        assert section.verdict.endswith("."), section.verdict


def test_pages_hold_the_best_of_many_units(monkeypatch, writer):
    from elman.inspection import units

    report = elman.inspect(writer, steps=300, verbose=0)
    monkeypatch.setattr(units, "_MOST", 2400)
    data = units.unit_data(report["states"].finding, report.subject)
    assert data["steps"] == 200 and [len(part["units"]) for part in data["parts"]] == [3, 3, 3, 3]
    assert data["first"]["unit"] in data["parts"][data["first"]["part"]]["units"]


def test_pictures_of_wide_layers_are_not_heavy():
    pytest.importorskip("matplotlib")
    from elman.inspection.plots import as_svg

    model = Sequential([layers.LSTM(600, return_sequences=True)])
    model.build(2, rng=0)
    states = inspection.gates_and_states(model, np.random.default_rng(0).standard_normal((1, 60, 2)))
    assert len(as_svg(states.plot, name="states")) < 700_000  # two of them, and the rest, make less than 3 MB


def test_every_picture_can_be_a_file(writer, tmp_path):
    pytest.importorskip("matplotlib")
    report = elman.inspect(writer, steps=60, verbose=0)
    files = report.save_pictures(tmp_path / "pictures")
    assert [file.stem for file in files] == [name for section in report for name in section.pictures]
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in files)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="the folder cannot be made"):
        report.save_pictures(tmp_path / "file")


# --- the course of a training -----------------------------------------------------------------------------------------


def test_some_steps_are_looked_at():
    """The figures of a step are those of the parameters before and after it."""
    model, x, y = classifier(layers.GRU(3), layers.Dense(2), n=24)
    seen, before = [], [model.parameters.flat.astype(float)]

    def look(batch, logs):
        grads, after = model.parameters.grads.astype(float), model.parameters.flat.astype(float)
        change = np.linalg.norm(after - before[0]) / np.linalg.norm(before[0])
        seen.append((len(seen), np.linalg.norm(grads), 1e-3, change))
        before[0] = after

    history = model.fit(x, y, batch_size=2, epochs=5, verbose=0, rng=0,
                        callbacks=[elman.callbacks.LambdaCallback(on_batch_end=look)])  # fmt: skip
    steps = history.steps
    assert steps["step"].tolist() == [*range(16), 16, 32, 48]
    rows = np.stack(list(steps.values()), axis=1)
    np.testing.assert_allclose(rows, np.array(seen)[steps["step"].astype(int)], rtol=2e-4)
    again = History.from_tensors(history.tensors())
    for name, column in again.steps.items():
        np.testing.assert_array_equal(column, steps[name])
    clipped = Sequential.from_config(model.config())
    clipped.compile("adam", "cross_entropy", clip=1e-3)
    norms = clipped.fit(x, y, batch_size=2, verbose=0, rng=0).steps["gradient_norm"]
    assert norms.min() > 1e-3  # before it is clipped


def test_looking_changes_nothing(monkeypatch):
    weights = []
    for every in (True, False):
        if not every:
            monkeypatch.setattr("elman.training.step_figures.StepFigures._schedule",
                                lambda self, done: setattr(self, "due", 10**9))  # fmt: skip
        model, x, y = classifier(layers.LSTM(3), layers.Dense(2))
        model.fit(x, y, batch_size=4, epochs=3, verbose=0, rng=0)
        weights.append(model.parameters.flat.copy())
    np.testing.assert_array_equal(*weights)


def course(batches, **columns):
    history = History()
    for loss in batches:
        history.record_batch(loss)
    for row in zip(*columns.values(), strict=True):
        history.add_epoch(dict(zip(columns, row, strict=True)))
    return inspection.training_course(history)


def test_the_course_is_told_in_a_sentence():
    falling = np.linspace(2, 1, 80)
    told = course(falling, loss=[1.5, 1.2], val_loss=[1.4, 1.6]).verdict
    assert told == (
        "In 2 epochs (80 batches) the loss fell from 1.94 to 1.06 and was still falling; in validation epoch 1 was the "
        "best, since then it overfits: 14 % worse."
    )
    flat = course(np.r_[falling, np.full(400, 1.0)], loss=[1.0], val_loss=[1.0])
    assert "still falling" not in flat.verdict and "the last epoch was the best" in flat.verdict
    assert course([1.0, np.nan]).verdict == "In 0 epochs (2 batches) the loss was 1."
    assert course([np.nan]).verdict == "In 0 epochs (1 batches) no loss was finite."
    restless = course(falling, loss=[1.0])
    for step in range(8):
        restless.history.add_step(step, gradient_norm=1.0, learning_rate=0.1, update_ratio=0.05)
    assert "a step changed the weights by 5 %, which is much" in restless.verdict
    assert restless.missing == ["validation: no data was kept for it"]
