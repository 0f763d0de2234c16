# Every target sets up all it needs from python3 and make alone.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export PYTHONUNBUFFERED := 1
# Analytics of libraries stay off, here and in every run that a target starts.
export GX_ANALYTICS_ENABLED := false
export HF_HUB_DISABLE_TELEMETRY := 1
export DAGSTER_DISABLE_TELEMETRY := 1
# As if it were activated: dg warns where it is not.
export VIRTUAL_ENV := $(CURDIR)/$(VENV)

.DEFAULT_GOAL := help

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { \
	  echo "needle_assets needs Python 3.11 to 3.13, $(PYTHON) is $$($(PYTHON) --version);" \
	       "name another one: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

# The stamp is as new as the lock file that it was installed from.
$(VENV)/.synced: pyproject.toml uv.lock | $(BIN)/uv
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --extra local --quiet
	@touch $@

$(VENV)/.synced-ui: pyproject.toml uv.lock $(VENV)/.synced
	UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv sync --frozen --extra local --group ui --quiet
	@touch $@

# The trainer's own environment: torch takes gigabytes that nothing else needs.
TRAINER := .venv-train
TRAINER_NEEDS := needle_assets/endpoint/trainer/requirements-train.txt

$(TRAINER)/.synced: $(TRAINER_NEEDS)
	$(PYTHON) -m venv $(TRAINER)
	$(TRAINER)/bin/python -m pip install --quiet --disable-pip-version-check -r $(TRAINER_NEEDS)
	@touch $@

.PHONY: help setup trainer demo ui test test-slow test-ui check bench bench-endpoint bench-eval format

help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.synced  ## Make the environment in .venv

trainer: $(TRAINER)/.synced  ## Make the trainer's environment in .venv-train (torch)

demo: setup trainer  ## Run the whole loop, a fine-tune in it, and write the report
	$(BIN)/needle demo

ui: setup  ## Open Dagster's UI on this project (http://localhost:3000)
	$(BIN)/needle init
	@# Without it dg reads the same dagster.yaml, but says that nothing will be kept.
	DAGSTER_HOME="$${DAGSTER_HOME:-$(CURDIR)}" $(BIN)/dg dev

test: setup trainer  ## Run the tests
	$(BIN)/pytest -n auto --dist loadfile

test-slow: setup trainer  ## Run the tests that take long
	$(BIN)/pytest -m slow

test-ui: $(VENV)/.synced-ui trainer  ## Drive the report and the UI in headless Chromium
	$(BIN)/pytest -m ui

check: setup  ## Lint, types, import rules, definitions
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/dg check defs
	$(BIN)/dagster definitions validate

bench: setup  ## Measure what building the data costs, as ratios
	$(BIN)/python benchmarks/build.py

bench-endpoint: setup  ## Measure what the endpoint adds to a chat request
	$(BIN)/python benchmarks/chat_overhead.py --requests 300

bench-eval: $(VENV)/.synced-ui  ## Measure asking, prefix sharing, scoring, the report, intervals
	$(BIN)/python benchmarks/prefix_sharing.py --strict
	$(BIN)/python benchmarks/asking.py --strict
	$(BIN)/python benchmarks/scoring.py --strict
	$(BIN)/python -m benchmarks.report --strict
	$(BIN)/python benchmarks/coverage.py --replications 500

format: setup  ## Format the code
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
