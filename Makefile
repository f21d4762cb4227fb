# `make demo` sets up and runs the main job on the embedded cohort; `make test` sets up and runs every check.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PLUGINS := $(wildcard plugins/*)
FOLDERS := $(PLUGINS:%=-e %)
# A file of tests is the work of one process; so many work side by side.
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-all bench lint clean

demo: $(VENV)/.installed
	$(BIN)/mmfuse demo

test: lint
	$(PYTEST) tests
	@for plugin in $(PLUGINS); do echo "$$plugin"; $(PYTEST) $$plugin/tests || exit 1; done

test-all: lint
	$(PYTEST) tests -m "slow or not slow"
	@for plugin in $(PLUGINS); do $(PYTEST) $$plugin/tests -m "slow or not slow" || exit 1; done

# Figures of docs/benchmarks.md: about an hour on two idle cores. What reads photographs and weights needs MMFUSE_DATA and MMFUSE_WEIGHTS.
bench: $(VENV)/.installed
	@for name in metrics_speed describe rates ranks kills; do echo "$$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done
	@echo cuda; $(BIN)/python benchmarks/cuda.py
	@echo million; $(BIN)/python benchmarks/million.py 10000 100000
	@if [ -z "$$MMFUSE_DATA" ] || [ -z "$$MMFUSE_WEIGHTS" ]; then echo "finetune, frozen, fusions: left out, MMFUSE_DATA and MMFUSE_WEIGHTS are not set"; else \
		for name in finetune frozen fusions; do echo "$$name"; $(BIN)/python benchmarks/$$name.py || exit 1; done; fi

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mmfuse
	$(BIN)/lint-imports

$(VENV)/.installed: pyproject.toml $(wildcard plugins/*/pyproject.toml)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "mmfuse needs Python 3.11 or newer; found `$(PYTHON) --version`. Try: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet -e ".[dev]" $(FOLDERS)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
