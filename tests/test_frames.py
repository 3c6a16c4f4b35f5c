"""Frames: pandas's and polars's where they are installed, and one that can no more than the code asks for."""

import numpy as np
import pytest

import elman
from elman.errors import DataError

SMALL = {"hidden": 8, "epochs": 20, "random_state": 0, "verbose": 0}


class Column:
    """A column of `Frame`."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def to_numpy(self):
        return np.asarray(self.values)


class Frame:
    """All that is asked of a frame: names of columns, a column by name, and all of it as an array."""

    def __init__(self, columns):
        self.data = dict(columns)
        self.columns = list(self.data)

    def __getitem__(self, name):
        return Column(name, self.data[name])

    def to_numpy(self):
        return np.stack([np.asarray(values) for values in self.data.values()], axis=1)


def make_pandas(columns):
    return pytest.importorskip("pandas").DataFrame(columns)


def make_polars(columns):
    return pytest.importorskip("polars").DataFrame(columns)


MAKERS = {"bare": Frame, "pandas": make_pandas, "polars": make_polars}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


def long_form(rng):
    """Twenty series of two channels, their rows mixed, each in the order of time; and the same as lists."""
    lengths = rng.integers(3, 9, 20)
    X = [rng.normal(size=(length, 2)) for length in lengths]
    y = ["up" if x[:, 0].mean() > 0 else "down" for x in X]
    rows = [(index, step) for index, length in enumerate(lengths) for step in range(length)]
    first, rest = [row for row in rows if row[1] == 0], [row for row in rows if row[1] > 0]
    rows = first + sorted(rest, key=lambda row: (row[1], rng.random()))  # series keep the order in which they begin
    columns = {
        "series": [f"s{index}" for index, _ in rows],
        "when": np.array([step for _, step in rows], "datetime64[ms]"),
        "a": [X[index][step, 0] for index, step in rows],
        "b": [X[index][step, 1] for index, step in rows],
        "label": [y[index] for index, _ in rows],
        "amount": [float(index) for index, _ in rows],
    }
    return columns, X, np.array(y)


def without(columns, *names):
    return {name: values for name, values in columns.items() if name not in names}


def test_long_form_is_the_same_as_lists(make, rng):
    columns, X, y = long_form(rng)
    expected = elman.SequenceClassifier(**SMALL).fit(X, y).predict_proba(X)
    options = SMALL | {"id_column": "series", "time_column": "when"}
    frame = make(without(columns, "amount"))
    model = elman.SequenceClassifier(**options).fit(frame, "label")
    bare = make(without(columns, "amount", "label"))
    np.testing.assert_array_equal(model.predict_proba(bare), expected)
    assert model.n_features_in_ == 2 and model.feature_names_in_.tolist() == ["a", "b"]
    assert model.score(frame, "label") == model.score(bare, y) == model.score(bare, columns["label"])
    # One target per series or per row, in a list or a column of its own.
    for given in (y, columns["label"], frame["label"]):
        again = elman.SequenceClassifier(**options).fit(bare, given)
        np.testing.assert_array_equal(again.predict_proba(bare), expected)


def test_a_column_of_numbers_to_learn(make, rng):
    columns, X, _ = long_form(rng)
    model = elman.SequenceRegressor(**SMALL, id_column="series", time_column="when")
    model.fit(make(without(columns, "label")), "amount")
    found = model.predict(make(without(columns, "label", "amount")))
    np.testing.assert_array_equal(found, elman.SequenceRegressor(**SMALL).fit(X, np.arange(20.0)).predict(X))


def test_words_and_their_tags_in_long_form(make):
    columns = {
        "sentence": [1, 1, 1, 2, 2] * 4,
        "word": ["the", "cat", "sat", "dogs", "ran"] * 4,
        "tag": ["DET", "NOUN", "VERB", "NOUN", "VERB"] * 4,
    }
    columns["sentence"] = [number + 2 * (index // 5) for index, number in enumerate(columns["sentence"])]
    model = elman.SequenceTagger(**SMALL, embedding=8, layers=1, id_column="sentence").fit(make(columns), "tag")
    assert [part.tolist() for part in model.predict(make(without(columns, "tag")))[:2]] == [
        ["DET", "NOUN", "VERB"],
        ["NOUN", "VERB"],
    ]
    assert model.score(make(columns), "tag") == 1


def test_a_wide_frame_is_a_table_whose_names_are_kept(make, rng):
    X, y = rng.normal(size=(20, 3)), np.arange(20) % 2
    frame = make({name: X[:, index] for index, name in enumerate("abc")})
    model = elman.SequenceClassifier(**SMALL).fit(frame, y)
    plain = elman.SequenceClassifier(**SMALL).fit(X, y)
    assert model.feature_names_in_.tolist() == ["a", "b", "c"] and model.n_features_in_ == 3
    np.testing.assert_array_equal(model.predict_proba(frame), plain.predict_proba(X))
    with pytest.warns(UserWarning, match="X does not have valid feature names, but SequenceClassifier was fitted with"):
        model.predict(X)
    with pytest.warns(UserWarning, match="X has feature names, but SequenceClassifier was fitted without"):
        plain.predict(frame)
    with pytest.raises(DataError, match="feature names should match those that were passed during fit"):
        model.predict(make({name: X[:, index] for index, name in enumerate("abd")}))


def test_a_series_of_texts(make):
    frame = make({"text": ["good film", "bad film"] * 10, "label": ["+", "-"] * 10})
    model = elman.SequenceClassifier(**SMALL).fit(frame["text"], frame["label"])
    assert model.predict(["good", "bad"]).tolist() == ["+", "-"]
