# Every target works in a fresh clone: the virtual environment is made when missing and shared by all.
# Needs python3 (3.11 or newer, with venv and headers), make and a C++17 compiler; cmake and ninja come from PyPI.
#
#   make demo        run the main job: train the adder, then a character model, and sample from it
#   make test        the tests (no torch needed)
#   make test-peers  the live comparison with torch, which it installs
#   make lint        formatting, types, the floors of the house, the documentation without a warning
#   make docs        the documentation, build/docs/index.html
#   make bench       elman beside torch, ONNX Runtime, JAX and Keras: 40 minutes; BENCH="--only lstm" and so on
#   make bench-quick a small part of it: 3 minutes
#   make browser     Debian's chromium, in which the tests open reports; without it they skip that
#   make mutants     plant bugs, one at a time; the tests must notice each

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/.stamps
KERAS := benchmarks/.venv-keras
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
BUILD_FILES := pyproject.toml CMakeLists.txt $(wildcard src/native/* src/native/*/*)

# Here a build without the native core is an error, never a fallback.
export ELMAN_REQUIRE_NATIVE := 1

.PHONY: demo test test-peers browser lint docs bench bench-quick mutants clean
.DELETE_ON_ERROR:

demo: $(STAMPS)/elman
	$(BIN)/elman demo

test: $(STAMPS)/elman
	$(BIN)/python -m pytest

test-peers: $(STAMPS)/peers
	$(BIN)/python -m pytest -m peers

browser:
	@command -v chromium || { [ "$$(id -u)" = 0 ] || { echo "make browser: run it as root"; exit 1; }; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium; }

lint: $(STAMPS)/dev docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/clang-format --dry-run -Werror $$(git ls-files 'src/native/*.cpp' 'src/native/*.h')

docs: $(STAMPS)/docs
	$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs

bench: $(STAMPS)/bench $(KERAS)/.stamp
	$(BIN)/python -m benchmarks.bench $(BENCH)

bench-quick: $(STAMPS)/bench $(KERAS)/.stamp
	$(BIN)/python -m benchmarks.bench --quick $(BENCH)

mutants: $(STAMPS)/elman
	$(BIN)/python scripts/mutants.py

clean:
	rm -rf build $(VENV) $(KERAS)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The package itself, editable: Python sources are used in place, native ones are compiled again when they change.
$(STAMPS)/elman: $(BUILD_FILES) | $(BIN)/python
	$(PIP) --editable '.[demo,test]'
	@mkdir -p $(STAMPS) && touch $@

# The package is there already, so pip adds what its extra asks for and nothing else.
$(STAMPS)/dev $(STAMPS)/docs $(STAMPS)/peers $(STAMPS)/bench: $(STAMPS)/%: $(STAMPS)/elman
	$(PIP) 'elman[$*]'
	@touch $@

# TensorFlow has other demands on NumPy, and threads that would disturb everybody else. Where it cannot be had, the
# benchmark leaves Keras out and says so.
$(KERAS)/.stamp:
	rm -rf $(KERAS)
	$(PYTHON) -m venv $(KERAS)
	$(KERAS)/bin/python -m pip install --quiet --disable-pip-version-check tensorflow-cpu==2.21.0 keras==3.15.1 \
		|| echo "Keras cannot be installed here: it is left out"
	@touch $@
