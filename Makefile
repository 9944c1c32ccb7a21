# One command each: make demo | test | setup | format | lint
#
# VENV    folder of the virtual environment (.venv)
# PYTHON  a Python 3.11 or 3.12 to make it with (the first one found)
# DEMO    folder of the demo's results (build/demo)
# PIP     more options for "pip install", such as another index

VENV ?= .venv
DEMO ?= build/demo
PIP ?=

BIN := $(VENV)/bin
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))
CHECKED := cellseg1 app tests

.PHONY: help setup demo test lint format
.DEFAULT_GOAL := help

help:
	@sed -n '1,6s/^# \{0,1\}//p' Makefile

# Quick when there is nothing to do: two stamps in the environment remember what was installed, and for which folder.
setup:
	@set -e; \
	if ! "$(BIN)/python" -c '$(FITS)' 2>/dev/null; then \
	  python=; \
	  for one in $(PYTHON) python3.12 python3.11 python3; do \
	    if "$$one" -c '$(FITS)' 2>/dev/null; then python=$$one; break; fi; \
	  done; \
	  if [ -z "$$python" ]; then \
	    echo "Python 3.11 or 3.12 is needed; install it, or name it: make PYTHON=/path/to/python3.12" >&2; exit 2; \
	  fi; \
	  if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
	    echo "Python cannot make virtual environments yet: sudo apt-get install python3-venv" >&2; exit 2; \
	  fi; \
	  if [ -e "$(VENV)" ] && [ ! -e "$(VENV)/pyvenv.cfg" ] && [ -n "$$(ls -A "$(VENV)")" ]; then \
	    echo "$(VENV) is in the way and is not a virtual environment; name another folder: make VENV=/elsewhere" >&2; \
	    exit 2; \
	  fi; \
	  echo "Making the virtual environment $(VENV) with $$python"; \
	  "$$python" -m venv --clear "$(VENV)"; \
	fi; \
	if ! cmp -s pyproject.toml "$(VENV)/.cellseg1-pyproject"; then \
	  echo "Installing CellSeg1 Studio and what it needs (several GB with GPU support; this takes minutes)"; \
	  "$(BIN)/python" -m pip install --quiet --disable-pip-version-check $(PIP) -e '.[dev]'; \
	  cp pyproject.toml "$(VENV)/.cellseg1-pyproject"; \
	  { pwd; cat cellseg1/_version.py; } > "$(VENV)/.cellseg1-checkout"; \
	elif ! { pwd; cat cellseg1/_version.py; } | cmp -s - "$(VENV)/.cellseg1-checkout"; then \
	  "$(BIN)/python" -m pip install --quiet --disable-pip-version-check $(PIP) --no-deps -e .; \
	  { pwd; cat cellseg1/_version.py; } > "$(VENV)/.cellseg1-checkout"; \
	fi

demo: setup
	@"$(BIN)/cellseg1" demo --out "$(DEMO)"

lint: setup
	@"$(BIN)/ruff" format --check $(CHECKED)
	@"$(BIN)/ruff" check $(CHECKED)
	@"$(BIN)/mypy"
	@"$(BIN)/lint-imports"

format: setup
	@"$(BIN)/ruff" format $(CHECKED)
	@"$(BIN)/ruff" check --fix-only --quiet $(CHECKED)

test: lint
	@OMP_NUM_THREADS=2 "$(BIN)/python" -m pytest -m "not slow" --cov=cellseg1 --cov-report=term:skip-covered
