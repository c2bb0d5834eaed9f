# Everything a newcomer needs, by name; `make` alone lists it.
# Each target sets up what it needs by itself: nothing has to be run first.

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin

# The Python versions the tests run on besides the one of .venv, where a working one is found (pyenv or PATH).
VERSIONS := 3.11 3.12 3.13
find_python = $(shell for python in $(HOME)/.pyenv/versions/$(1).*/bin/python$(1) python$(1); do \
	$$python -c 'import ensurepip, venv' 2>/dev/null && command -v $$python && break; done)
own_version = $(shell $(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])')

# JupyterLab refuses the root user, who is the only one in many containers, unless told.
LAB_FLAGS ?= $(if $(filter 0,$(shell id -u)),--allow-root)

# One worker a core. The browser tests share one server, so they stay on one worker.
PYTEST := -m pytest --numprocesses=auto --dist=loadgroup

.DEFAULT_GOAL := help
.PHONY: help setup lab test test-here test-others test-oldest coverage lint format bench clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: .venv/installed ## make .venv and install plugbook with everything its development needs

lab: setup ## open JupyterLab on the quick start
	PATH="$(CURDIR)/$(BIN):$$PATH" jupyter lab $(LAB_FLAGS) notebooks/00-quickstart.ipynb

test: test-others test-here ## run every test, on every supported Python that is found here

test-here: setup # the whole suite on the Python of .venv, and how much of the package each kind of test reaches
	$(BIN)/python $(PYTEST) --cov --cov-context=test --cov-report=

# Other Pythons skip the browser tests: what happens in the page does not depend on the version.
test-others: setup
	@for version in $(filter-out $(own_version),$(VERSIONS)); do \
		$(MAKE) --no-print-directory test-on VERSION=$$version || exit 1; \
	done

.PHONY: test-on
test-on:
	@if [ -z "$(call find_python,$(VERSION))" ]; then \
		echo "Python $(VERSION) was not found: the tests do not run on it."; \
	else \
		$(MAKE) --no-print-directory .venv-$(VERSION)/installed && \
		.venv-$(VERSION)/bin/python $(PYTEST) -m "not browser"; \
	fi

test-oldest: .venv-oldest/installed ## run the tests with the oldest versions that pyproject.toml allows
	.venv-oldest/bin/python $(PYTEST) -m "not browser"

coverage: setup ## run the tests and show which branches they miss
	$(BIN)/python $(PYTEST) --cov --cov-report=term-missing

lint: setup ## check style, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## mend what can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: setup ## run every benchmark and print the ratios
	@for bench in tests/benchmarks/bench_*.py; do \
		name=$$(basename $$bench .py); echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name || exit 1; \
	done

clean: ## remove the environments and everything that was generated
	rm -rf .venv .venv-* build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- environments: a stamp newer than pyproject.toml says that one is complete -------------------------------------

.venv/installed: pyproject.toml
	$(call make_venv,$(PYTHON),.venv)
	.venv/bin/python -m pip install --quiet --editable '.[dev]'
	@touch $@

.venv-oldest/installed: pyproject.toml tests/oldest_versions.py
	$(call make_venv,$(PYTHON),.venv-oldest)
	.venv-oldest/bin/python -m pip install --quiet packaging
	.venv-oldest/bin/python tests/oldest_versions.py guide resolve test fast charts lab bench > .venv-oldest/constraints.txt
	.venv-oldest/bin/python -m pip install --quiet --constraint .venv-oldest/constraints.txt \
		--editable '.[test,fast,charts,lab,bench]'
	@touch $@

.venv-3.%/installed: pyproject.toml
	$(call make_venv,$(call find_python,3.$*),.venv-3.$*)
	.venv-3.$*/bin/python -m pip install --quiet --editable '.[test,fast,charts,bench]'
	@touch $@

define make_venv
@$(1) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "plugbook needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.11"; exit 1; }
@$(1) -c 'import ensurepip, venv' 2>/dev/null || \
	{ echo "$(1) cannot make environments; on Debian: apt-get install python3-venv"; exit 1; }
@echo "Setting up $(2) (a minute or two, once)"
@$(2)/bin/python -m pip --version >/dev/null 2>&1 || $(1) -m venv --clear $(2)
endef
