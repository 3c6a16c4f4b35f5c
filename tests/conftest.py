"""What every test file may use: the data folder, and reproducible property tests."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent

# No deadline: the first example of a test may pay for an import. Derandomized in CI: a red run can be run again.
settings.register_profile("elman", deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", settings.get_profile("elman"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "elman")


def find_data(relative: str) -> Path:
    """Return the path of a file of real data, or skip the test that asked for it."""
    folder = Path(os.environ.get("ELMAN_DATA", ROOT.parent / "shared" / "data"))
    path = folder / relative
    if not path.exists():
        pytest.skip(f"no {relative} below {folder} (set ELMAN_DATA to the folder that holds it)")
    return path


@pytest.fixture
def data_file():
    """Give the function that finds a file of real data or skips."""
    return find_data


@pytest.fixture
def rng() -> np.random.Generator:
    """Give a generator with a fixed seed."""
    return np.random.default_rng(1990)
