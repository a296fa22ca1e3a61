# `make quickstart` goes from nothing to verdicts served over gRPC.
# `make test` installs what the tests need and runs them offline; `make test-all`
# adds the long ones. Both use two processes: most of their time is
# single-threaded building of graphs. In each, linear algebra has one thread:
# with more, they wait for each other.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One installation for both uses, repeated only when its description changes.
INSTALLED := $(VENV)/.installed
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadfile

.PHONY: quickstart test test-all lint format clean

quickstart: $(INSTALLED)
	$(BIN)/python -m dfk.quickstart

test: $(INSTALLED)
	$(PYTEST) -m "not slow"

test-all: $(INSTALLED)
	$(PYTEST)

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info

$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --editable '.[dev]'
	touch $@
