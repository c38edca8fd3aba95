# Everything one does with this project. `make` alone lists it. Set-up logic is in tools/install.py.

PYTHON ?= python3
# A Python that was named is used; else the fastest that the machine has.
INSTALL := $(PYTHON) tools/install.py $(if $(filter file,$(origin PYTHON)),,--this-python)
BIN := .venv/bin
TEST_ARGS ?=

.PHONY: help install start test check format docs lock bench replay clean

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1\t\2/p' Makefile | expand -t 16

install:  ## .venv with the command .venv/bin/lampyr
	@$(INSTALL)

start: install  ## run Lampyr in the foreground; more flags with ARGS="--port 5000"
	@exec $(BIN)/lampyr start $(ARGS)

test:  ## set up and pass every test; fewer with TEST_ARGS="tests/unit"
	@$(INSTALL) --dev
	@PYTHONHASHSEED=0 $(BIN)/python tools/run_tests.py $(TEST_ARGS)  # the same order of sets in each process

check:  ## format, lint, types, import contracts, style: what a commit must pass
	@$(INSTALL) --dev --no-system
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/style

format:  ## let ruff format and mend what it can
	@$(INSTALL) --dev --no-system
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

docs:  ## make the documents that are made from code
	@$(INSTALL) --dev --no-system
	@$(BIN)/python tools/settings_reference.py
	@$(BIN)/python tools/operations_table.py

lock:  ## write the locks again; newer versions with ARGS=--upgrade
	@$(INSTALL) --dev --no-system
	@$(BIN)/python tools/lock.py $(ARGS)

bench: install  ## measure, beside rivals; writes bench/RESULTS.md and bench/plots
	@$(BIN)/python -m bench $(ARGS)

replay: install  ## replay a trace of 200 functions for five minutes; writes bench/TRACE.md and bench/plots
	@$(BIN)/python -m bench.replay $(ARGS)

clean:  ## remove .venv and caches
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	@find src tests tools bench examples -name __pycache__ -type d -prune -exec rm -rf {} +
