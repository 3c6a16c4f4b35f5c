"""What bad input gets from the estimators: one table of calls and the whole messages that must come out.

A key begins with the number of the fault as in `faults.py`; 20 is text that cannot be written, 22 what was not seen in
training, 23 what a frame may have wrong. In messages, "…" stands for what depends on a library. No call changes a
model that was fitted before.
"""

import datetime
import pickle
import re
from types import SimpleNamespace

import numpy as np
import pytest
from test_frames import Frame

import elman
from elman.errors import DataError, DataTypeError, ElmanError, NotFittedError, UsageError
from elman.ragged import Ragged

N, T, F = 8, 5, 2
RNG = np.random.default_rng(3)
X = RNG.normal(size=(N, T, F))
Y = np.arange(N) % 2
NUMBERS = RNG.normal(size=N)
SENTENCES = [["a", "cat"], ["the", "dogs", "ran"], [], ["ran"]] * 2
TAGS = [["D", "N"], ["D", "N", "V"], [], ["V"]] * 2
LONG = {"id": [1, 1, 2, 2], "time": [0, 1, 0, 1], "a": [0.5, 1.5, 2.5, 3.5], "label": ["x", "x", "y", "y"]}
SMALL = {"hidden": 4, "epochs": 1, "random_state": 0, "verbose": 0}


def classifier(**options):
    return elman.SequenceClassifier(**SMALL | options)


def regressor(**options):
    return elman.SequenceRegressor(**SMALL | options)


def tagger(**options):
    return elman.SequenceTagger(**SMALL | {"embedding": 4} | options)


def series(**options):
    return classifier(id_column="id", **{"time_column": "time"} | options)


def put(array, place, value):
    changed = np.array(array, dtype=object if value is None or isinstance(value, dict) else None)
    changed[place] = value
    return changed


def weighted(*weights):
    return classifier().fit(X, Y, sample_weight=np.array(weights))


# fmt: off
CALLS = {
    "1 no samples": (lambda w: classifier().fit(X[:0], Y[:0]), DataError, "fit: X has 0 samples: Found array with 0 sample(s) (shape=(0, 5, 2)), expected at least 1."),
    "1 an empty list": (lambda w: classifier().fit([], []), DataError, "fit: X has 0 samples, expected at least 1."),
    "1 no samples to predict": (lambda w: w.fitted.predict([]), DataError, "predict: X has 0 samples, expected at least 1."),
    "1 an empty array of texts": (lambda w: w.text.predict(np.array([], str)), DataError, "predict: X has 0 samples, expected at least 1."),
    "1 an empty frame": (lambda w: series().fit(Frame({"id": [], "time": [], "a": []}), []), DataError, "fit: X has 0 samples, expected at least 1 row."),
    "2 no features": (lambda w: classifier().fit(X[:, :, :0], Y), DataError, "fit: X has no features: Found array with 0 feature(s) (shape=(8, 5, 0)) while a minimum of 1 is required."),
    "2 no columns": (lambda w: classifier().fit(X[:, :0, 0], Y), DataError, "fit: X has no features: Found array with 0 feature(s) (shape=(8, 0)) while a minimum of 1 is required."),
    "2 one axis": (lambda w: classifier().fit(X[:, 0, 0], Y), DataError, "fit: X has 1 axes, expected a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, a list of lists of tokens, a Ragged, or a frame, got shape=(8,). Reshape your data: X.reshape(-1, 1) for series of one step, X.reshape(1, -1) for a single series."),
    "2 four axes": (lambda w: classifier().fit(X[None], Y), DataError, "fit: X has 4 axes, expected a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, a list of lists of tokens, a Ragged, or a frame, got shape=(1, 8, 5, 2)."),
    "2 a number": (lambda w: classifier().fit(5, Y), DataTypeError, "fit: X is not accepted, expected a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, a list of lists of tokens, a Ragged, or a frame, got int."),
    "2 a list of numbers": (lambda w: classifier().fit([1.0, 2.0], [0, 1]), DataError, "fit: x[0] has the wrong number of axes, expected (steps, features) or (steps,), got shape ()."),
    "2 features that differ": (lambda w: classifier().fit([X[0], X[1, :, :1]], [0, 1]), DataError, "fit: x[1] does not match the sequences before it, expected (steps, 2), got shape (5, 1)."),
    "2 four axes in a list": (lambda w: classifier().fit([X, X], [0, 1]), DataError, "fit: x[0] has the wrong number of axes, expected (steps, features) or (steps,), got shape (8, 5, 2)."),
    "4 an empty sequence": (lambda w: classifier().fit([*X[:7], X[0, :0]], Y), DataError, "fit: sequence 7 has no steps, expected at least one step. Leave it out: nothing can be said about nothing."),
    "4 an empty sequence to predict": (lambda w: w.fitted.predict([X[0], X[0, :0]]), DataError, "predict: sequence 1 has no steps, expected at least one step. Leave it out: nothing can be said about nothing."),
    "4 an empty text": (lambda w: w.text.predict(["ab", ""]), DataError, "predict: sequence 1 has no steps, expected at least one step. Leave it out: nothing can be said about nothing."),
    "4 a text without words": (lambda w: w.words.predict(["a b", "  "]), DataError, "predict: sequence 1 has no words, expected at least one word. Leave it out: nothing can be said about nothing."),
    "4 nothing to tag": (lambda w: tagger().fit([[], []], [[], []]), DataError, "fit: all sequences are empty, expected at least one step."),
    "6 X and y": (lambda w: classifier().fit(X, Y[:7]), DataError, "fit: X and y differ in length, expected 8 labels, got 7."),
    "6 X and numbers": (lambda w: regressor().fit(X, NUMBERS[:7]), DataError, "fit: X and y differ in length, expected 8 targets, got 7."),
    "6 X and tags": (lambda w: tagger().fit(SENTENCES, TAGS[:7]), DataError, "fit: X and y differ in length, expected 8 lists of labels, got 7."),
    "6 words and tags": (lambda w: tagger().fit(SENTENCES, [["D"], *TAGS[1:]]), DataError, "fit: X[0] and y[0] differ in length, expected 2 labels, got 1."),
    "6 score": (lambda w: w.fitted.score(X, Y[:7]), DataError, "score: X and y differ in length, expected 8 labels, got 7."),
    "6 weights": (lambda w: weighted(1, 2), DataError, "fit: sample_weight does not fit X, expected shape (8,), got shape (2,)."),
    "7 NaN": (lambda w: classifier().fit(put(X, (3, 2, 1), np.nan), Y), DataError, "fit: input x contains NaN, expected finite numbers, got nan at sequence 3, step 2, feature 1."),
    "7 NaN in a list": (lambda w: classifier().fit(list(put(X, (3, 2, 1), np.nan)), Y), DataError, "fit: input x contains NaN, expected finite numbers, got nan at sequence 3, step 2, feature 1."),
    "7 infinity": (lambda w: w.fitted.predict(put(X, (3, 2, 1), -np.inf)), DataError, "predict: input x contains infinity, expected finite numbers, got -inf at sequence 3, step 2, feature 1."),
    "7 NaN in a table": (lambda w: w.table.predict(put(X[:, :, 0], (1, 2), np.nan)), DataError, "predict: input x contains NaN, expected finite numbers, got nan at sequence 1, step 2, feature 0."),
    "7 None": (lambda w: classifier().fit(put(X, (0, 0, 0), None), Y), DataError, "fit: Input X contains None, expected numbers, got None at (0, 0, 0). Fill missing values, or leave those steps out of a list."),
    "8 no y": (lambda w: classifier().fit(X, None), DataError, "fit: this SequenceClassifier requires y to be passed, but the target y is None."),
    "8 no numbers": (lambda w: regressor().fit(X, None), DataError, "fit: this SequenceRegressor requires y to be passed, but the target y is None."),
    "8 no tags": (lambda w: tagger().fit(SENTENCES, None), DataError, "fit: this SequenceTagger requires y to be passed, but the target y is None."),
    "8 None in y": (lambda w: classifier().fit(X, put(Y, 2, None)), DataError, "fit: Input y contains None, expected a target for each, got None at index 2."),
    "8 NaN in y": (lambda w: classifier().fit(X, put(Y.astype(float), 2, np.nan)), DataError, "fit: Input y contains NaN, expected finite numbers, got nan at index 2."),
    "8 NaN in text": (lambda w: classifier().fit(X, np.array(["a", "b", float("nan"), "a"] * 2, object)), DataError, "fit: Input y contains NaN, expected a target for each, got nan at index 2."),
    "8 NaN in numbers": (lambda w: regressor().fit(X, put(NUMBERS, 5, np.nan)), DataError, "fit: Input y contains NaN, expected finite numbers, got nan at index 5."),
    "8 infinity in numbers": (lambda w: regressor().fit(X, put(NUMBERS, 5, np.inf)), DataError, "fit: Input y contains infinity or a value too large for dtype('float64'), expected finite numbers, got inf at index 5."),
    "8 None in tags": (lambda w: tagger().fit(SENTENCES, [["D", None], *TAGS[1:]]), DataError, "fit: Input y contains None, expected a target for each, got None at index 1."),
    "8 mixed kinds": (lambda w: classifier().fit(X, np.array([1, "a"] * 4, object)), DataError, "fit: y holds labels of several kinds, expected all of one kind, got number and str."),
    "8 mixed tags": (lambda w: tagger().fit(SENTENCES, [[1, 2], *TAGS[1:]]), DataError, "fit: y holds labels of several kinds, expected all of one kind, got number and str."),
    "9 too large": (lambda w: classifier().fit(put(X, (3, 2, 1), 1e300), Y), DataError, "fit: a number is too large for float32, expected smaller numbers, got 1e+300 at sequence 3, step 2, feature 1."),
    "9 too large a target": (lambda w: regressor().fit(X, put(NUMBERS, 5, 1e300)), DataError, "fit: a number of y is too large for float32, expected smaller numbers, got 1e+300 at index 5."),
    "9 far from what was seen": (lambda w: classifier().fit(1e-30 * X, Y).predict(1e30 * X), DataError, "predict: a number is too large for float32, measured by the spread of the training data, got 2.0409191213851825e+30 where the standard deviation was 1.09e-30."),
    "10 continuous labels": (lambda w: classifier().fit(X, NUMBERS), DataError, "fit: Unknown label type: continuous; y holds what is no class, expected str, int or bool, got 1.68183 at index 0. For numbers take SequenceRegressor."),
    "10 one-hot labels": (lambda w: classifier().fit(X, np.eye(2)[Y]), DataError, "fit: y is not one label each, expected shape (n,), got shape (8, 2). Turn one-hot labels into classes: y.argmax(1)."),
    "10 a label unseen": (lambda w: classifier().partial_fit(X, Y, classes=[0]), DataError, "partial_fit: y holds a label that is no class of this model, expected one of 0, got 1. Name all classes at the first partial_fit(classes=...), or fit anew without warm_start."),
    "10 a label unseen when going on": (lambda w: classifier(warm_start=True).fit(X, Y).fit(X, Y + 1), DataError, "fit: y holds a label that is no class of this model, expected one of 0, 1, got 2. Name all classes at the first partial_fit(classes=...), or fit anew without warm_start."),
    "10 labels that are lists": (lambda w: classifier().fit(X, [[0], [0, 1]] * 4), DataError, "fit: y is no array, expected (n,), got …. Give one target for each sequence."),
    "10 token ids": (lambda w: classifier().fit(Ragged(np.arange(4), [2, 2]), [0, 1]), DataTypeError, "fit: X holds token ids, expected numbers (N, F). Give tokens as lists of strings, or numbers as values (N, 1)."),
    "12 weights below zero": (lambda w: weighted(1, 1, 1, -1, 1, 1, 1, 1), DataError, "fit: sample_weight is out of range, expected numbers >= 0, got -1.0 at index 3."),
    "12 weights NaN": (lambda w: weighted(1, 1, 1, np.nan, 1, 1, 1, 1), DataError, "fit: sample_weight is out of range, expected numbers >= 0, got nan at index 3."),
    "12 weights all zero": (lambda w: weighted(*[0] * N), DataError, "fit: sample_weight is zero for all sequences, so nothing could be learned, expected at least one above zero."),
    "12 weights of text": (lambda w: weighted(*"abcdefgh"), DataTypeError, "fit: sample_weight holds what is no number, expected one number per sequence."),
    "12 class weights all zero": (lambda w: classifier(class_weight={0: 0, 1: 0}).fit(X, Y), DataError, "fit: class_weight is zero for all classes, so nothing could be learned, expected at least one above zero."),
    "12 class weight below zero": (lambda w: classifier(class_weight={0: -1}).fit(X, Y), DataError, "fit: the weight of class 0 is out of range, expected a number >= 0, got -1."),
    "12 class weight of no class": (lambda w: classifier(class_weight={7: 1}).fit(X, Y), UsageError, "fit: class_weight names what is no class, expected one of 0, 1, got 7."),
    "12 class weight misspelt": (lambda w: classifier(class_weight="equal").fit(X, Y), UsageError, "fit: class_weight is not accepted, expected None, 'balanced' or a dict of class and weight, got 'equal'."),
    "16 complex": (lambda w: classifier().fit(X + 1j, Y), DataError, "fit: Complex data not supported, expected real numbers, got complex128."),
    "16 complex in a list": (lambda w: classifier().fit(list(X + 1j), Y), DataError, "fit: Complex data not supported, expected real numbers, got complex128."),
    "7 infinity in a tagger": (lambda w: tagger().fit(put(X, (0, 0, 0), np.inf), np.zeros((N, T), int)), DataError, "fit: input x contains infinity, expected finite numbers, got inf at sequence 0, step 0, feature 0."),
    "16 complex targets": (lambda w: regressor().fit(X, NUMBERS + 1j), DataTypeError, "fit: Complex data not supported, got y of dtype complex128."),
    "16 dates": (lambda w: classifier().fit(X.astype("datetime64[s]"), Y), DataTypeError, "fit: dates not supported, expected real numbers, got x of dtype datetime64[s]."),
    "16 a dict": (lambda w: classifier().fit(put(X, (0, 0, 0), {"a": 1}), Y), DataTypeError, "fit: X holds an object, and the argument must be a string or a number, expected numbers, got dict at (0, 0, 0)."),
    "16 one string": (lambda w: classifier().fit("abc", Y), DataTypeError, "fit: X is one str, expected a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, a list of lists of tokens, a Ragged, or a frame. Put it into a list: [text]."),
    "16 a table of text": (lambda w: classifier().fit(np.array([["a", "b"]] * 8), Y), DataTypeError, "fit: X is a table of text, expected a list of arrays (steps, features), an array (n, steps, features), a table (n, steps), a list of strings, a list of lists of tokens, a Ragged, or a frame, got shape=(8, 2). Texts go into one list of strings, tokens into one list for each sequence."),
    "16 strings and numbers": (lambda w: classifier().fit(["ab", 5] * 4, Y), DataTypeError, "fit: X[1] is no text like X[0], expected str, got int."),
    "16 lists and strings": (lambda w: classifier().fit([["a"], "b"] * 4, Y), DataTypeError, "fit: X[1] is no list of tokens, expected a list of str, got str."),
    "16 tokens and numbers": (lambda w: classifier().fit([["a", 3]] * 8, Y), DataTypeError, "fit: X[0][1] is no token, expected str, got int."),
    "16 bytes for labels": (lambda w: classifier().fit(X, np.array([b"a", b"b"] * 4)), DataTypeError, "fit: y holds bytes, expected str, int or bool. Decode them first."),
    "16 dates for labels": (lambda w: classifier().fit(X, np.array([0, 1] * 4, "datetime64[s]")), DataTypeError, "fit: dates not supported, got y of dtype datetime64[s]."),
    "16 dates as labels": (lambda w: classifier().fit(X, np.array([datetime.date(2000, 1, 1)] * 8, object)), DataTypeError, "fit: Unknown label type: date, expected str, int or bool."),
    "16 text for numbers": (lambda w: regressor().fit(X, list("abcdefgh")), DataTypeError, "fit: y holds no numbers, got dtype <U1. For labels take SequenceClassifier."),
    "16 text for what was numbers": (lambda w: w.fitted.predict(["ab"]), DataTypeError, "predict: X is of another kind than SequenceClassifier was fitted on, expected numbers, got strings."),
    "16 numbers for what was text": (lambda w: w.text.predict(X), DataTypeError, "predict: X is of another kind than SequenceClassifier was fitted on, expected strings, got numbers."),
    "16 tokens for what was characters": (lambda w: w.text.predict([["a"]]), DataTypeError, "predict: X is of another kind than SequenceClassifier was fitted on, expected strings, got lists of tokens."),
    "16 numbers for words": (lambda w: w.tags.predict(X), DataTypeError, "predict: X is of another kind than SequenceTagger was fitted on, expected strings or lists of tokens, got numbers."),
    "16 a word for words": (lambda w: w.tags.fit(SENTENCES, "DN"), DataTypeError, "fit: y is no list, expected one list of labels per sequence, got str."),
    "16 three axes of targets": (lambda w: regressor().fit(X, X), DataError, "fit: y has too many axes, expected one number each, (n,), or several, (n, k), got shape (8, 5, 2)."),
    "16 a masked array": (lambda w: classifier().fit(np.ma.masked_less(X, 0), Y), DataTypeError, "fit: x is a masked array, whose mask would be lost. Give the sequences their true lengths: a list of arrays, or lengths=."),
    "20 a lone surrogate": (lambda w: classifier().fit(["ab", "a\ud800"] * 4, Y), DataError, "fit: X[1] holds a lone surrogate, U+D800, at index 1. Half of a UTF-16 pair is no character: decode strictly, without errors='surrogateescape'."),
    "22 features": (lambda w: w.fitted.predict(X[:, :, :1]), DataError, "predict: X has 1 features, but SequenceClassifier is expecting 2 features as input. Give as many numbers at each step as fit was given."),
    "22 columns": (lambda w: w.table.predict(X[:, :3, 0]), DataError, "predict: X has 3 features, but SequenceClassifier is expecting 5 features as input. Give a table of as many columns as fit was given."),
    "22 targets when going on": (lambda w: w.numbers.partial_fit(X, X[:, 0]), DataError, "partial_fit: y does not fit this model, expected 1 for each sequence, got 2."),
    "22 targets to score": (lambda w: w.numbers.score(X, X[:, 0]), DataError, "score: y does not fit this model, expected 1 for each sequence, got 2."),
    "23 no such id column": (lambda w: series().fit(Frame({"a": [1.0]}), [0]), UsageError, "fit: there is no column 'id', expected one of 'a'."),
    "23 no such time column": (lambda w: series().fit(Frame({"id": [1], "a": [1.0]}), [0]), UsageError, "fit: there is no column 'time', expected one of 'id', 'a'."),
    "23 no such target": (lambda w: series().fit(Frame(LONG), "class"), UsageError, "fit: there is no column 'class', expected one of 'id', 'time', 'a', 'label'."),
    "23 no features beside": (lambda w: series().fit(Frame({"id": [1], "time": [1]}), [0]), DataError, "fit: X has no columns beside those of ids, times and targets, expected at least one feature, got columns ['id', 'time']."),
    "23 times out of order": (lambda w: series().fit(Frame(LONG | {"time": [0, 1, 5, 4]}), "label"), DataError, "fit: time 4 comes after 5 in the series 2, expected rising times. Sort the table by 'time' first."),
    "23 a time twice": (lambda w: series().fit(Frame(LONG | {"time": [0, 0, 1, 2]}), "label"), DataError, "fit: time 0 stands twice in the series 1, expected rising times. Keep one row for each time."),
    "23 a time missing": (lambda w: series().fit(Frame(LONG | {"time": [0.0, 1.0, 2.0, np.nan]}), "label"), DataError, "fit: there is no time in row 3 of column 'time'."),
    "23 an id missing": (lambda w: series().fit(Frame(LONG | {"id": ["a", "a", None, "b"]}), "label"), DataError, "fit: there is no id in row 2 of column 'id', got None."),
    "23 times of several kinds": (lambda w: series().fit(Frame(LONG | {"time": np.array([0, "1", 2, 3], object)}), "label"), DataError, "fit: times of column 'time' cannot be compared, got int, str."),
    "23 a label that changes": (lambda w: series().fit(Frame(LONG | {"label": ["x", "y", "y", "y"]}), "label"), DataError, "fit: y changes within the series 1, expected one value per series, got 'x' and 'y'."),
    "23 labels for neither": (lambda w: series().fit(Frame({name: LONG[name] for name in ("id", "time", "a")}), ["x", "y", "z"]), DataError, "fit: y does not fit the rows of X, expected 2, one per series, or 4, one per row, got 3."),
    "23 tags for neither": (lambda w: tagger(id_column="id").fit(Frame({"id": [1, 1], "a": ["b", "c"]}), ["x", "y", "z"]), DataError, "fit: X and y differ in length, expected 1 lists of labels, got 3."),
    "23 a column of text": (lambda w: series().fit(Frame(LONG | {"b": np.array(["1,000", "2", "3", "4"], object)}), "label"), DataTypeError, "fit: column 'b' holds text, got '1,000'. Leave the column out, turn it into numbers, or name it as y if it is the target."),
    "23 a column of dates": (lambda w: series(time_column=None).fit(Frame(LONG | {"time": np.arange(4).astype("datetime64[D]")}), "label"), DataTypeError, "fit: column 'time' holds dates, expected numbers. Give time_column='time' if it says when, or leave the column out."),
    "23 dates in a table": (lambda w: classifier().fit(Frame({"a": np.arange(4).astype("datetime64[D]")}), [0, 1, 0, 1]), DataTypeError, "fit: column 'a' holds dates, expected numbers. For a table in long form say id_column= and time_column=."),
    "23 a name without ids": (lambda w: classifier().fit(Frame({"a": [1.0]}), "a"), DataTypeError, "fit: y is the name of a column, which needs id_column, got 'a'."),
    "23 ids without a frame": (lambda w: series().fit(X, Y), DataTypeError, "fit: id_column is for frames in long form, expected a frame, got ndarray."),
    "23 other names": (lambda w: classifier().fit(Frame({"a": [1.0, 2.0]}), [0, 1]).predict(Frame({"b": [1.0]})), DataError, "The feature names should match those that were passed during fit.\nFeature names unseen at fit time:\n- b\nFeature names seen at fit time, yet now missing:\n- a\n"),
    "43 predict before fit": (lambda w: regressor().predict(X), NotFittedError, "SequenceRegressor.predict: it is not fitted yet. Call fit first."),
    "43 save before fit": (lambda w: regressor().save("x.elman"), NotFittedError, "SequenceRegressor.save: it is not fitted yet. Call fit first."),
    "43 classes at the first time": (lambda w: classifier().partial_fit(X, Y), UsageError, "partial_fit: classes must be passed on the first call to partial_fit. Pass classes=np.unique(all_labels)."),
    "43 labels at the first time": (lambda w: tagger().partial_fit(SENTENCES, TAGS), UsageError, "partial_fit: classes must be passed on the first call to partial_fit. Pass classes=np.unique(all_labels)."),
    "a early stopping step by step": (lambda w: regressor(early_stopping=True).partial_fit(X, NUMBERS), UsageError, "partial_fit: early_stopping keeps data back, and partial_fit is to learn from all of it. Set early_stopping=False."),
    "a nothing to hold out": (lambda w: classifier(early_stopping=True).fit(X[:2], Y[:2]), DataError, "fit: early_stopping finds nothing to hold out of 2 sequences, got val_split=0.1. Raise val_split, or set early_stopping=False."),
    "a cell": (lambda w: classifier(cell="transformer").fit(X, Y), UsageError, "SequenceClassifier: cell is not accepted, expected one of rnn, lstm, gru, got 'transformer'."),
    "a pooling": (lambda w: classifier(pooling="sum").fit(X, Y), UsageError, "SequenceClassifier: pooling is not accepted, expected one of 'mean_max', 'mean', 'max', 'last', got 'sum'."),
    "a hidden": (lambda w: classifier(hidden=0).fit(X, Y), UsageError, "SequenceClassifier: hidden is not accepted, expected int >= 1, got 0."),
    "a dropout": (lambda w: classifier(dropout=1.0).fit(X, Y), UsageError, "SequenceClassifier: dropout is not accepted, expected float < 1.0, got 1.0."),
    "a epochs": (lambda w: classifier(epochs=0).fit(X, Y), UsageError, "SequenceClassifier: epochs is not accepted, expected int >= 1, got 0."),
    "a val_split": (lambda w: classifier(val_split=1.0).fit(X, Y), UsageError, "SequenceClassifier: val_split is not accepted, expected float < 1.0, got 1.0."),
    "a seed": (lambda w: classifier(random_state=-1).fit(X, Y), UsageError, "SequenceClassifier: random_state is not accepted, expected int >= 0, got -1."),
    "a seed of text": (lambda w: classifier(random_state="0").fit(X, Y), UsageError, "SequenceClassifier: random_state is not accepted, expected int | None, got '0'."),
    "a verbose": (lambda w: classifier(verbose=7).fit(X, Y), UsageError, "fit: verbose is out of range, expected 'auto', 0, 1 or 2, got 7."),
    "a unit": (lambda w: classifier(unit="bytes").fit(["a"], [0]), UsageError, "SequenceClassifier: unit is not accepted, expected one of 'auto', 'characters', 'words', got 'bytes'."),
    "a characters of tokens": (lambda w: classifier(unit="characters").fit([["a"]] * 8, Y), UsageError, "fit: lists of tokens are read as words, got unit='characters'. Give strings, or leave unit out."),
    "a words of strings to tag": (lambda w: tagger(unit="words").fit(["a b"], ["xyz"]), UsageError, "fit: words of a whole string have no labels of their own. Cut each text into a list of words."),
    "a no such argument": (lambda w: classifier().set_params(units=3), UsageError, "SequenceClassifier: there is no argument 'units', expected some of cell, layers, hidden, bidirectional, pooling, dropout, noise, unit, embedding, batch, epochs, lr, weight_decay, clip, class_weight, early_stopping, val_split, patience, warm_start, id_column, time_column, random_state, verbose."),
    "a asked by number": (lambda w: w.tags.model_.predict(np.array([[1, 2]])), UsageError, "WordEncoder 'word_encoder': takes words, not their numbers, got Ragged. Ask the task, which knows the words: task.predict(X)."),
}
# fmt: on


@pytest.fixture(scope="module")
def world():
    return SimpleNamespace(
        fitted=classifier().fit(X, Y),
        text=classifier().fit(["ab", "ba"] * 4, Y),
        words=classifier().fit(["a b", "b a"] * 4, Y),
        numbers=regressor().fit(X, NUMBERS),
        tags=tagger().fit(SENTENCES, TAGS),
        table=classifier().fit(X[:, :, 0], Y),
    )


@pytest.mark.parametrize("case", CALLS)
def test_message(world, case):
    call, kind, message = CALLS[case]
    before = pickle.dumps(world)
    with pytest.raises(ElmanError) as caught:
        call(world)
    # Where scikit-learn is loaded, this one is scikit-learn's as well.
    assert type(caught.value) is kind or (kind is NotFittedError and isinstance(caught.value, kind))
    pattern = re.escape(message).replace("…", ".+")
    assert re.fullmatch(pattern, str(caught.value), re.DOTALL), f"\n{caught.value}\n{message}"
    assert pickle.dumps(world) == before


def test_a_failed_fit_leaves_the_model_as_it_was(world):
    before = world.fitted.predict_proba(X)
    for arguments in ((X, None), (put(X, (0, 0, 0), np.nan), Y), (X, Y, -np.ones(N))):
        with pytest.raises(ElmanError):
            world.fitted.fit(*arguments)
    np.testing.assert_array_equal(world.fitted.predict_proba(X), before)
