# What a person and CI type. Everything runs from the tree with the Python in .venv; paths are
# relative, so the folder may lie anywhere and have spaces in its name.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.SUFFIXES:

DB := neo.db
DURATION := 30m
SPEED := 30
# More than two processors can work off at once: the end-to-end tests mostly wait.
JOBS := 3

VENV := .venv
PY := $(VENV)/bin/python
RUNTIME := $(VENV)/runtime.stamp
DEV := $(VENV)/dev.stamp
SOURCES := neo_engine $(wildcard *.py tools)

# PYTHON=... names the interpreter to use; otherwise the newest of these that is good enough.
PYTHON :=
CANDIDATES := $(if $(PYTHON),"$(PYTHON)",python3.13 python3.12 python3.11 python3)
PIP_INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check

COVERED := --cov=neo_engine.domain --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

# Of `make soak` and `make simulate-faults`.
COUNT := 100
MINUTES := 10
SEED := 1
KILLS := 0

.PHONY: help paper test check lint coverage bench soak simulate-faults js setup clean

help:
	@echo 'make paper   a paper session of $(DURATION) on the embedded default feed, then its report (DB=$(DB))'
	@echo 'make test    every check and every test: what CI runs'
	@echo 'make check   format, lint, types and style only'
	@echo 'make bench   the benchmarks'
	@echo 'make soak    a live session of MINUTES=$(MINUTES) against a local server that misbehaves (SEED, KILLS)'
	@echo 'make simulate-faults  the main loop through COUNT=$(COUNT) seeds of faults on a simulated clock'
	@echo 'make js      xrpl.js for the tests of the local server, where Node.js is installed'
	@echo 'make clean   remove $(VENV) and caches; databases stay'

# The report is printed for a session that ended as planned (0) or was halted (4); the session's own
# exit code is what the shell sees.
paper: $(RUNTIME)
	@status=0; \
	$(PY) run_paper_session.py --config config/paper.yaml --duration $(DURATION) --db "$(DB)" --speed $(SPEED) \
	  || status=$$?; \
	case $$status in 0|4) $(PY) summarize_paper_run.py --db "$(DB)" || status=$$? ;; esac; \
	exit $$status

# Counting branches doubles what a test costs, so it is left to the quick ones: they must walk all of the domain.
test: lint
	$(PY) -m pytest -n $(JOBS) -m "not slow" $(COVERED)
	$(PY) -m pytest -n $(JOBS) -m slow

check: lint
	$(PY) -m pytest tests/style

lint: $(DEV)
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy --strict $(SOURCES)
	$(PY) -m mypy --strict -p benchmarks

# The quick tests alone, and every branch of the domain that they do not walk.
coverage: $(DEV)
	$(PY) -m pytest -n $(JOBS) -m "not slow" $(COVERED)

bench: $(DEV)
	$(PY) -m benchmarks.run

soak: $(DEV)
	$(PY) -m tools.soak --minutes $(MINUTES) --seed $(SEED) --kills $(KILLS)

simulate-faults: $(DEV)
	$(PY) -m tools.simulate_faults --count $(COUNT)

# The JavaScript client that the tests run against the local server, for machines with Node.js.
js:
	cd tests/js && npm install --no-audit --no-fund --no-package-lock

setup: $(DEV)

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp newer than its lock file means the packages are installed. A .venv that cannot run pip
# (interrupted half-way, or its Python is gone) is made anew.
$(RUNTIME): requirements.lock
	@$(PY) -m pip --version >/dev/null 2>&1 || { \
	  for candidate in $(CANDIDATES); do \
	    if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	      echo "setting up $(VENV) with $$("$$candidate" --version)"; \
	      rm -rf $(VENV) && exec "$$candidate" -m venv $(VENV); \
	    fi; \
	  done; \
	  echo 'NEO needs Python 3.11 or newer with its venv module, and none of these is:' $(CANDIDATES) >&2; \
	  echo 'Install one (Debian, Ubuntu: apt install python3-venv; macOS: brew install python@3.13),' >&2; \
	  echo 'or name one: make PYTHON=/path/to/python3' >&2; \
	  exit 1; \
	}
	@echo 'installing the packages of $<'
	@$(PIP_INSTALL) -r $<
	@touch $@

$(DEV): requirements-dev.lock $(RUNTIME)
	@echo 'installing the packages of $<'
	@$(PIP_INSTALL) -r $<
	@touch $@
