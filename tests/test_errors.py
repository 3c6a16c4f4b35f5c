"""Errors: they survive the way between processes, as multiprocessing sends them."""

import pickle

import pytest

from elman import errors
from elman.errors import DivergedError, ElmanError, Interrupted


def test_an_interruption_survives_pickling():
    for error in (Interrupted(15), Interrupted(2, "stopped", 7)):
        again = pickle.loads(pickle.dumps(error))
        assert (again.signum, again.args, again.exit_code) == (error.signum, error.args, error.exit_code)


def test_a_divergence_keeps_its_figures():
    error = DivergedError("fit: the loss is nan.")
    assert (error.step, error.norm) == (None, None)
    error.step, error.norm = 7, 2.5
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.step, again.norm) == (str(error), 7, 2.5)


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ElmanError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_survives_pickling(kind):
    again = pickle.loads(pickle.dumps(kind("here: it is wrong.")))
    assert type(again) is kind and str(again) == "here: it is wrong."
