# Each target makes the virtual environment it needs; later runs reuse it until pyproject.toml or constraints.txt change.
#
#   make sudoku ARGS="..."                 arguments of the example
#   make test PYTHON=python3.12 VENV=.venv312
#   make test TORCH=2.9.1 VENV=.venv-old   another PyTorch than the pinned one
#   make test PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"   PyTorch without CUDA on Linux

PYTHON    ?= python3
PYTHON312 ?= python3.12
VENV      ?= .venv
ARGS      ?=
PIP_ARGS  ?=
TORCH     ?=

BIN := $(VENV)/bin

.PHONY: sudoku test slow test-py312 lint format clean
.DELETE_ON_ERROR:

sudoku: $(VENV)/examples.installed
	$(BIN)/python examples/sudoku_svi.py $(ARGS)

test: $(VENV)/test.installed
	$(BIN)/python -m pytest $(ARGS)

slow: $(VENV)/test.installed
	$(BIN)/python -m pytest -m slow $(ARGS)

test-py312:
	$(MAKE) test PYTHON=$(PYTHON312) VENV=.venv312

lint: $(VENV)/dev.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/dev.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv312 build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# <extra>.installed stands for: the package is installed here, editable, with that extra.
$(VENV)/%.installed: pyproject.toml $(VENV)/constraints.txt
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_ARGS) -c $(VENV)/constraints.txt -e ".[$*]"
	touch $@

$(VENV)/constraints.txt: constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	sed $(if $(TORCH),'s/^torch==.*/torch==$(TORCH)/',-e '') constraints.txt > $@

.PRECIOUS: $(VENV)/constraints.txt
