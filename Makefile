# The two commands of the README, and what they are made of. Everything stays below this folder.

PYTHON ?= python3
VENV := .venv
TEST_VENV := .venv-test
BIN := $(abspath $(VENV)/bin)
TEST_BIN := $(abspath $(TEST_VENV)/bin)
TORCH ?= torch==2.13.0
JOBS ?= 2
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test test-slow floors lint types bench clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

$(VENV)/bin/mimctl:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet .

demo: $(VENV)/bin/mimctl  ## from nothing to a trained detector (docs/tutorial)
	PATH="$(BIN):$$PATH" bash docs/tutorial/demo.sh

$(TEST_VENV)/.done: pyproject.toml plugins/cls/pyproject.toml plugins/det/pyproject.toml
	$(PYTHON) -m venv $(TEST_VENV)
	$(TEST_BIN)/pip install --quiet --upgrade pip
	$(TEST_BIN)/pip install --quiet $(TORCH) opencv-python-headless
	$(TEST_BIN)/pip install --quiet --editable '.[engine]' --group dev
	$(TEST_BIN)/python -m mimctl wheels build --out $(TEST_VENV)/wheels mimctl-ops
	$(TEST_BIN)/pip install --quiet --no-deps --no-index --force-reinstall --find-links $(TEST_VENV)/wheels mimctl-ops
	$(TEST_BIN)/pip install --quiet --editable plugins/cls --editable plugins/det
	touch $@

lint: $(TEST_VENV)/.done  ## ruff, mypy, import directions, generated tables
	$(TEST_BIN)/ruff check
	$(TEST_BIN)/ruff format --check
	$(TEST_BIN)/mypy
	$(TEST_BIN)/lint-imports --no-cache
	for package in mimctl/engine mimctl/vision plugins/cls/mimctl_cls plugins/det/mimctl_det; do \
	    $(TEST_BIN)/python -m mimctl.config.types $$package --check || exit 1; done

test: lint  ## everything but the slow tests, JOBS files at a time (under 30 minutes on 2 cores)
	$(TEST_BIN)/python -m pytest -m "not slow" -n $(JOBS) --dist loadfile

floors:  ## fetch the oldest packages that mimctl accepts, for the slow tests: MIMCTL_TEST_FLOORS=.floors make test-slow
	$(PYTHON) -m pip download --only-binary :all: --dest .floors \
	    click==8.1.0 packaging==22.0 pyyaml==6.0 requests==2.28.0 resolvelib==1.0.1 rich==12.0.0

test-slow: lint  ## the slow tests: whole demo, photographs, killed installs, sanitizers, old pip and uv (over an hour)
	$(TEST_BIN)/python -m pytest -m slow

types: $(TEST_VENV)/.done  ## write the types.json tables again
	for package in mimctl/engine mimctl/vision plugins/cls/mimctl_cls plugins/det/mimctl_det; do \
	    $(TEST_BIN)/python -m mimctl.config.types $$package || exit 1; done

clean:  ## remove what the targets made
	rm -rf $(VENV) $(TEST_VENV) .floors demo work_dirs .cache
