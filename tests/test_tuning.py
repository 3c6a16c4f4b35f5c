"""Searching for settings: trials that end, that are given up, that are stopped, and a journal that goes on."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("optuna")

from elman.cli.main import main
from elman.errors import DataError, DivergedError, Interrupted, ResourceError, UsageError
from elman.tasks import Corpus, LanguageModel, SequenceClassifier, SequenceRegressor, SequenceTagger
from elman.tasks.tuning import Range, Search, fingerprint, search_space

RNG = np.random.default_rng(2)
X = [RNG.normal(size=(length, 1)) for length in RNG.integers(3, 9, 60)]
Y = np.array(["up" if x.sum() > 0 else "down" for x in X])
TRAIN, JUDGED = (X[:40], Y[:40]), (X[40:], Y[40:])
SPACE = {"lr": Range(1e-4, 1e-2, log=True), "hidden": Range(4, 12), "cell": Range(["rnn", "gru"])}


@pytest.fixture
def search(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(kind=SequenceClassifier, space=SPACE, journal="tune.journal", about=None, **fixed):
        given = {"data": fingerprint(X, Y)} if about is None else about
        return Search(kind, {"epochs": 4, **fixed}, space, journal, about=given)

    return make


def run(search, trials, data=TRAIN, judged=JUDGED):
    return list(search.run(data, judged, trials=trials))


def test_trials_are_of_the_space_and_the_first_has_the_defaults(search):
    made = search(space=search_space(SequenceClassifier) | {"hidden": Range(4, 128, log=True)})
    first, *others = run(made, 4)
    defaults = SequenceClassifier().get_params()
    assert {name: defaults[name] for name in first.arguments if name != "batch"} == {
        name: value for name, value in first.arguments.items() if name != "batch"
    }
    assert all(4 <= trial.arguments["hidden"] <= 128 and trial.loss > 0 for trial in others)
    assert len({json.dumps(trial.arguments) for trial in made.trials}) == 4
    losses = [trial.loss for trial in made.best(4)]
    assert losses == sorted(losses) and made.best(4)[0].figures["accuracy"] <= 1


def test_a_search_goes_on_where_it_stopped(search):
    before = run(search(), 3)
    again = search()
    (last,) = run(again, 4)
    assert again.trials[:3] == before and last.number == 4
    assert last.arguments not in [trial.arguments for trial in before]
    assert run(search(), 4) == []


def test_the_loss_is_that_of_the_model_that_was_trained(search):
    (found,) = run(search(), 1)
    model = SequenceClassifier(epochs=4, **found.arguments, random_state=0, verbose=0).fit(*TRAIN)
    shares = model.predict_proba(JUDGED[0])
    right = shares[np.arange(20), np.searchsorted(model.classes_, JUDGED[1])]
    assert found.loss == pytest.approx(-np.log(right).mean()) and found.epochs == 4
    assert found.figures["accuracy"] == model.score(*JUDGED)


def test_numbers_tags_and_texts_are_judged_by_what_fits_them(search):
    y = np.array([x.sum() for x in X])
    made = search(SequenceRegressor, journal="r.journal")
    (found,) = run(made, 1, (X[:40], y[:40]), (X[40:], y[40:]))
    assert found.loss == pytest.approx(1 - found.figures["r2"])
    tags = [np.where(x[:, 0] > 0, "p", "n") for x in X]
    (found,) = run(search(SequenceTagger, journal="t.journal"), 1, (X[:40], tags[:40]), (X[40:], tags[40:]))
    assert 0 < found.figures["accuracy"] <= 1
    space = {"hidden": Range(4, 12)}
    made = search(LanguageModel, space, "l.journal", layers=1, embedding=4, batch=4, steps=5)
    (found,) = run(made, 1, Corpus.from_texts("to be or not to be, that is the question " * 20), None)
    assert 0 < found.loss < 5 and found.figures == {}
    assert set(search_space(LanguageModel)) <= set(LanguageModel().get_params())


def test_a_trial_that_does_worse_than_half_of_the_others_is_given_up(search, monkeypatch):
    losses = iter([0.5, 0.4, 0.3, 0.2] * 4 + [0.9, 0.8, 0.7, 0.6])
    monkeypatch.setattr("elman.tasks.trial._judge", lambda *_: (next(losses), {}))
    found = run(search(), 5)
    assert [trial.state for trial in found] == ["complete"] * 4 + ["pruned"]
    # A third of its epochs is granted before anybody looks.
    assert found[-1].epochs == 2 and found[-1].loss is None


@pytest.mark.parametrize("error", [DivergedError("loss"), ResourceError("memory")])
def test_a_trial_that_fails_is_one_of_them_and_the_next_one_runs(search, monkeypatch, error):
    fit, calls = SequenceClassifier.fit, []

    def fail_first(self, *args, **kwargs):
        calls.append(self)
        if len(calls) == 1:
            raise error
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(SequenceClassifier, "fit", fail_first)
    failed, complete = run(search(), 2)
    assert (failed.state, failed.why, complete.state, complete.why) == ("failed", str(error), "complete", "")


def test_a_stopped_trial_comes_again(search, monkeypatch):
    run(search(), 1)
    fit, seen = SequenceClassifier.fit, []

    def stop(self, *args, **kwargs):
        seen.append(self.get_params())
        raise Interrupted(signal.SIGINT)

    monkeypatch.setattr(SequenceClassifier, "fit", stop)
    with pytest.raises(Interrupted):
        run(search(), 3)
    monkeypatch.setattr(SequenceClassifier, "fit", fit)
    found = run(search(), 3)
    assert len(found) == 2 and found[0].arguments == {name: seen[0][name] for name in SPACE}


def test_a_journal_that_was_cut_short_is_mended(search):
    run(search(), 2)
    with open("tune.journal", "ab") as journal:
        journal.write(b'{"op_code": 5, "work')
    made = search()
    assert len(run(made, 3)) == 1 and len(made.trials) == 3


def test_other_searches_other_files_and_a_missing_package(search, monkeypatch):
    run(search(), 1)
    with pytest.raises(UsageError) as caught:
        run(search(epochs=5), 2)
    assert str(caught.value) == (
        "tune.journal: it belongs to another search: epochs was 4 and is 5. "
        "Give another --storage, or the same data and options as before."
    )
    with pytest.raises(UsageError, match=r"data was .* and is 0"):
        run(search(about={"data": 0}), 2)
    with open("notes.txt", "w") as notes:
        notes.write("not a journal")
    with pytest.raises(DataError, match=r"^notes.txt: this is no journal of a search. Give another --storage.$"):
        run(search(journal="notes.txt"), 1)
    with open("notes.txt") as notes:
        assert notes.read() == "not a journal"
    with pytest.raises(UsageError, match=r"^none/tune.journal: the journal cannot be written \(no such file"):
        run(search(journal="none/tune.journal"), 1)
    running = search().run(TRAIN, JUDGED, trials=2)
    next(running)
    with pytest.raises(ResourceError, match=r"^tune.journal: another search writes into it. Wait for it"):
        run(search(), 3)
    running.close()
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"Install it: pip install 'elman\[tune\]'"):
        search()


# The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with open("d.jsonl", "w") as out:
        for x, label in zip(X, Y, strict=True):
            out.write(json.dumps({"x": x.tolist(), "label": str(label)}) + "\n")
    return "d.jsonl"


def test_tune_prints_the_best_and_a_command_that_runs(file, capsys):
    words = ["tune", "classify", file, "--trials", "3", "--epochs", "2", "--hidden", "6", "--seed", "0"]
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert "12 of 60 sequences are kept back to judge the trials by." in err
    assert re.search(r"^trial 3  (loss \d\.\d{4}  accuracy \d\.\d{4}|given up)  --cell ", err, re.MULTILINE)
    assert "the best of 3 trials" in out and "weight decay" in out
    following = out.splitlines()[-1]
    assert following.startswith("Next: elman train classify d.jsonl --seed 0 --hidden 6 --epochs 2 --cell ")
    assert main([*following.removeprefix("Next: elman ").split(), "-q"]) == 0
    capsys.readouterr()
    assert main([*words, "--json", "-q"]) == 0  # nothing is left to be tried
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert len(found["trials"]) == 3 and found["best"]["hidden"] == 6 and err == ""
    assert f"Next: {found['command']}" == following


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["classify", "d.jsonl", "--trials", "0"], "--trials: it is out of range, expected at least 1, got 0."),
        (["classify", "d.jsonl", "--val-split", "0"], "--val-split: it is out of range"),
        (["classify", "d.jsonl", "--storage", "d.jsonl"], "d.jsonl: this is no journal of a search"),
        (["text", "none.txt"], "none.txt: no such file"),
        (["poem", "d.jsonl"], "No such command 'poem'"),
    ],
    ids=" ".join,
)
def test_what_tune_says_to_what_it_cannot_use(words, message, file, capsys):
    before = sorted(os.listdir())
    assert main(["tune", *words]) in (2, 3)
    assert message in capsys.readouterr().err
    assert sorted(os.listdir()) == before


def test_ctrl_c_loses_nothing_and_a_killed_search_goes_on(file):
    words = [
        sys.executable,
        "-m",
        "elman",
        "tune",
        "classify",
        file,
        "--trials",
        "500",
        "--epochs",
        "2",
        "--hidden",
        "6",
    ]
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -9)):
        running = subprocess.Popen(words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        done = 0
        for line in running.stderr:
            done += line.startswith("trial ")
            if done == 2:
                break
        time.sleep(0.05)
        running.send_signal(number)
        _, err = running.communicate(timeout=60)
        assert running.returncode == code
        assert number == signal.SIGKILL or re.search(r"Stopped\. tune\.journal holds \d+ trials; the same command", err)

    def trials(count):
        more = subprocess.run(
            [*words[:7], str(count), *words[8:], "--json"], capture_output=True, text=True, timeout=60
        )
        assert more.returncode == 0, more.stderr
        return json.loads(more.stdout)["trials"]

    held = trials(1)
    assert len(held) >= 4 and trials(len(held) + 2)[: len(held)] == held
