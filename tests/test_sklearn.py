"""What scikit-learn's users expect: its own checks, its tools around ours, and that none of it is needed."""

import json
import pickle
import subprocess
import sys

import numpy as np
import pytest

import elman

pytest.importorskip("sklearn", minversion="1.6")

from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

# Small, for speed; a regressor of so few units needs more epochs to explain half of the variance of the check's data.
CHECKED = [
    elman.SequenceClassifier(hidden=16, verbose=0),
    elman.SequenceRegressor(hidden=16, epochs=100, verbose=0),
]

_BATCHES = (
    "an update sees a batch: a sequence of weight 2 stands in one, a sequence that is there twice in two; "
    "so both learn alike, not the same"
)


def expected_failures(estimator):
    return {"check_sample_weight_equivalence_on_dense_data": _BATCHES}


@parametrize_with_checks(CHECKED, expected_failed_checks=expected_failures)
def test_checks_of_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def series():
    """Sequences of several lengths; "up" where the first channel lies above 0 in the mean."""
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(steps, 2)) + rng.choice([-1, 1]) for steps in rng.integers(3, 12, 60)]
    return X, np.array(["up" if x.mean() > 0 else "down" for x in X])


def small(**options):
    return elman.SequenceClassifier(**{"hidden": 8, "epochs": 15, "random_state": 0, "verbose": 0} | options)


def test_kinds_and_tags():
    assert is_classifier(elman.SequenceClassifier()) and is_regressor(elman.SequenceRegressor())
    assert not is_classifier(elman.SequenceTagger()) and not is_regressor(elman.SequenceTagger())
    with pytest.raises(NotFittedError, match=r"SequenceTagger\.predict: it is not fitted yet\. Call fit first\."):
        elman.SequenceTagger().predict([["a"]])


def test_the_error_before_fit_goes_to_other_processes():
    with pytest.raises(NotFittedError) as caught:
        elman.SequenceTagger().predict([["a"]])
    copy = pickle.loads(pickle.dumps(caught.value))
    assert isinstance(copy, NotFittedError) and isinstance(copy, elman.errors.NotFittedError)
    assert str(copy) == str(caught.value)


def test_lists_of_several_lengths_go_through_splits_and_folds_in_two_processes(series):
    X, y = series
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    assert small().fit(X_train, y_train).score(X_test, y_test) > 0.8
    alone = cross_val_score(small(), X, y, cv=3, n_jobs=1)
    np.testing.assert_array_equal(cross_val_score(small(), X, y, cv=3, n_jobs=2), alone)
    assert alone.mean() > 0.8


def test_grid_search_finds_the_better_one_and_predicts_with_it(series):
    X, y = series
    search = GridSearchCV(small(), {"epochs": [1, 15], "cell": ["gru"]}, cv=2).fit(X, y)
    assert search.best_params_ == {"epochs": 15, "cell": "gru"}
    assert search.predict(X[:2]).shape == (2,)


def test_at_the_end_of_a_pipeline():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(80, 12)) * 1000
    y = X[:, :6].mean(1) > X[:, 6:].mean(1)
    pipeline = make_pipeline(StandardScaler(), small(epochs=60, hidden=32)).fit(X, y)
    assert pipeline.score(X, y) > 0.85
    assert clone(pipeline).set_params(sequenceclassifier__hidden=4)[-1].hidden == 4


def test_tagger_in_folds():
    X = [["a", "cat", "sat"], ["the", "dog", "ran", "off"]] * 8
    y = [["DET", "NOUN", "VERB"], ["DET", "NOUN", "VERB", "ADV"]] * 8
    tagger = elman.SequenceTagger(hidden=16, epochs=30, random_state=0, verbose=0)
    assert cross_val_score(tagger, X, y, cv=2).mean() > 0.9


def test_a_numpy_generator_is_a_random_state(series):
    X, y = series
    models = [small(random_state=np.random.RandomState(3)).fit(X, y) for _ in range(2)]
    np.testing.assert_array_equal(*(model.predict_proba(X) for model in models))
    again = models[0].fit(X, y)  # which draws on
    assert (again.predict_proba(X) != models[1].predict_proba(X)).any()
    assert pickle.loads(pickle.dumps(again)).predict(X).tolist() == again.predict(X).tolist()


def test_without_scikit_learn(tmp_path):
    """Fit, predict, score, save and load where scikit-learn, pandas and polars cannot be imported."""
    script = """
import sys
for name in ("sklearn", "scipy", "pandas", "polars"):
    sys.modules[name] = None
import json, numpy as np, elman
rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5, 2))
y = X[:, :, 0].mean(1)
options = dict(hidden=8, epochs=40, random_state=0, verbose=0)
classifier = elman.SequenceClassifier(**options).fit(X, (y > 0)[:, None])  # with a warning of our own
regressor = elman.SequenceRegressor(**options).fit(X, y)
tagger = elman.SequenceTagger(**options).fit(X, X[:, :, 0] > 0)
classifier.save(sys.argv[1])
same = (elman.load(sys.argv[1]).predict_proba(X) == classifier.predict_proba(X)).all()
try:
    elman.SequenceClassifier().predict(X)
except elman.errors.NotFittedError as error:
    said = str(error)
scores = classifier.score(X, y > 0), regressor.score(X, y), tagger.score(X, X[:, :, 0] > 0)
print(json.dumps([*scores, bool(same), said]))
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(tmp_path / "model.elman")],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    *scores, same, said = json.loads(done.stdout)
    assert min(scores) > 0.8 and same
    assert said == "SequenceClassifier.predict: it is not fitted yet. Call fit first."
