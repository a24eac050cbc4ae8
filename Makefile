# Everything is installed into .venv. PIP_ARGS is passed to pip, for example to choose a build of torch.
# The installation is editable and follows the links in src/lcma, so it needs a git clone with these.
PYTHON ?= python3
PIP_ARGS ?=
BIN = .venv/bin
# Python compiles modules when they are imported. Pip would compile all, and take twice the time.
PIP_INSTALL = $(BIN)/python -m pip install --no-compile
# With this variable, each process of the tests would compile all modules and assertions again.
unexport PYTHONDONTWRITEBYTECODE
PYTEST = $(BIN)/pytest -n auto --dist loadgroup --no-loadscope-reorder
TESTS ?= not integration and not slow and not gpu

# A folder .venv whose installation failed is no reason to skip it the next time.
.DELETE_ON_ERROR:

.PHONY: benchmark benchmark-database check-findings demo docs findings install test test-integration test-all test-gpu check lint types layers format clean gpu-half-hour help

help:
	@echo "make demo      install, then run Algorithm 1 on real images (about two minutes)"
	@echo "make install   install into .venv"
	@echo "make test      install, then run the tests"
	@echo "make test-integration  run the tests that take a second or more: clusters, a browser, studies, kills"
	@echo "make test-all  install, then run all tests, also the long ones, except those of a CUDA device"
	@echo "make test-gpu  run the tests of a CUDA device"
	@echo "make gpu-half-hour  check a CUDA device: exactness, stacks, speed, memory, maps and a cell of table2 (HALF_HOUR_ARGS=\"--data DIR\")"
	@echo "make docs      build the documentation as a site in docs/_site; a broken link is an error"
	@echo "make findings  update the numbers and pictures of docs/findings.md and the README from the reference database"
	@echo "make check-findings  list pages whose numbers differ from the reference database"
	@echo "make check     check lint, format, types and import layers"
	@echo "make benchmark time training steps, compared with normflows"
	@echo "make benchmark-database time the results database, compared with MLflow and Optuna"
	@echo "make venv      make only the environment, to install another build of torch into it first"

install: .venv/installed
	@echo "lcma is in .venv/bin: source .venv/bin/activate, then lcma --help"

demo: .venv/installed
	$(BIN)/lcma launch demo
	@echo "lcma is in .venv/bin: source .venv/bin/activate, then lcma --help"

test: .venv/installed-dev
	$(PYTEST) -m "$(TESTS)"

test-integration: .venv/installed-dev
	$(PYTEST) -m "integration and not slow and not gpu"

test-all: .venv/installed-dev
	$(PYTEST) -m "not gpu"

test-gpu: .venv/installed-dev
	$(BIN)/pytest -m gpu tests/gpu

gpu-half-hour: .venv/installed-dev .venv/installed-benchmarks
	$(BIN)/python -m benchmarks.gpu_half_hour $(HALF_HOUR_ARGS)

docs: .venv/installed .venv/installed-docs
	$(BIN)/sphinx-build -q -W --keep-going -b html docs docs/_site

findings: .venv/installed
	$(BIN)/python docs/findings.py

check-findings: .venv/installed
	$(BIN)/python docs/findings.py --check

benchmark: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks.step_time

benchmark-database: .venv/installed-benchmarks
	$(BIN)/python -m benchmarks.database

check: lint types layers

lint: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/installed-dev
	$(BIN)/mypy

layers: .venv/installed-dev
	$(BIN)/lint-imports

format: .venv/installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

venv: $(BIN)/python

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: name one, such as make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip  # the pip of an old Python takes twice the time

.venv/installed: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing lcma and PyTorch into .venv; this takes some minutes"
	$(PIP_INSTALL) -c constraints.txt -e '.[pictures]' $(PIP_ARGS)
	@touch $@

.venv/installed-dev: $(BIN)/python pyproject.toml constraints.txt
	@echo "installing lcma, PyTorch and the tests' packages into .venv; this takes some minutes"
	$(PIP_INSTALL) -c constraints.txt -e '.[pictures,dev]' $(PIP_ARGS)
	@touch .venv/installed $@

.venv/installed-docs: .venv/installed
	$(PIP_INSTALL) --quiet -c constraints.txt -e '.[docs]' $(PIP_ARGS)
	@touch $@

.venv/installed-benchmarks: .venv/installed
	$(PIP_INSTALL) --quiet -c constraints.txt -e '.[benchmarks]' $(PIP_ARGS)
	@touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build
