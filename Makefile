# The ways of this house. `make` alone lists them.
#
#   make demo      a virtual environment, then a real search on examples/data/penguins.csv (about 90 s of it searching)
#   make test      every test that isn't slow          make test-all   … and the slow ones
#   make check     lint, types, import contracts, protos and documents in step with the code
#   make bench     the benchmarks; DATA=folder says where the data sets lie
#   make protos    generated code from protos/          make docs       generated pages in docs/
#   make clean     what the others left, but for the environment
#
# PYTHON is the interpreter that the environment is made with; an environment elsewhere is named by VENV.

PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Workers of pytest. Tests pin their threads to one, so one worker a core.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
DATA ?=
BUDGET ?= 90s

.DEFAULT_GOAL := help
.PHONY: help demo test test-all check bench protos docs clean

help:
	@sed -n '/^#/!q; s/^# \{0,1\}//p' Makefile

# An environment that has everything counts as installed; one that was made elsewhere is left as it is.
$(STAMP): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "make: $(PYTHON) was not found; install Python 3.11, or name one: make PYTHON=…" >&2; exit 2; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[server,onnx,micro,dev]'
	@touch $@

# The demonstration's server is its own, and is stopped when it is over.
demo: export AUTOML_HOME := $(CURDIR)/out/home
demo: $(STAMP)
	@mkdir -p $(AUTOML_HOME)
	$(BIN)/automl submit examples/data/penguins.csv --target species --budget $(BUDGET) --out out/demo
	@echo; echo "Six penguins whose species nobody told:"
	$(BIN)/automl predict out/demo examples/data/penguins-new.csv --out out/demo/predictions.csv
	@cat out/demo/predictions.csv
	@echo; echo "The report: $(CURDIR)/out/demo/report.html"
	@sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' out/home/server.ready | xargs -r kill

test: $(STAMP)
	$(BIN)/python -m pytest -m 'not slow' -n $(JOBS) --dist loadgroup

test-all: $(STAMP)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadgroup

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/python protos/generate.py --check
	$(BIN)/python docs/generate.py --check

bench: $(STAMP)
	$(BIN)/python -m benchmarks.mainjob $(if $(DATA),--data $(DATA))

protos: $(STAMP)
	$(BIN)/python protos/generate.py

docs: $(STAMP)
	$(BIN)/python docs/generate.py

clean:
	rm -rf out build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find automl client server protos tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
