# Two commands do all the set-up: `make demo` runs the whole loop, `make test` runs every check.
# Both stand on `make install`, which fills .venv and is quick the second time.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed
PYTEST_ARGS ?=

# Ray workers must not rebuild the environment; compiled bytecode halves the import time.
export RAY_ENABLE_UV_RUN_RUNTIME_ENV := 0
export RAY_USAGE_STATS_ENABLED := 0
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install demo test lint types quick unit system constraints clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

install: $(STAMP)  ## fill .venv with the pinned packages and this project

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "glipforge needs Python >= 3.11: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"
	$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode \
		--constraints constraints.txt --editable '.[dev,lora]'
	@touch $(STAMP)

demo: install  ## make a small captioned world and run the whole loop on it
	$(BIN)/python -m glipforge demo

test: install system lint types  ## lint, import contract, types and all tests
	$(BIN)/python -m tests.two_halves $(PYTEST_ARGS)

system:  # what pip cannot install: a library of the review database, and a browser for the tests
	@ldconfig -p | grep -q 'libcurl\.so\.4 ' || { \
		test "$$(id -u)" = 0 || { echo "the tests need libcurl4: sudo apt-get install libcurl4"; exit 1; }; \
		echo "root: installing libcurl4, which the review database of the tests loads"; \
		apt-get update -qq && apt-get install -qq -y libcurl4 >/dev/null; }
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || { \
		test "$$(id -u)" = 0 || { echo "the tests need Chromium: sudo apt-get install chromium"; exit 1; }; \
		apt-get update -qq && apt-get install -qq -y chromium >/dev/null; }

lint: install  ## ruff and the import contract
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: install  ## mypy
	$(BIN)/mypy

quick: install  ## the tests without a real Ray, MongoDB, browser or full-size model
	$(BIN)/python -m pytest -m "not slow" $(PYTEST_ARGS)

unit: install  ## all tests in one process; PYTEST_ARGS="-m 'not slow'" for the quick ones
	$(BIN)/python -m pytest $(PYTEST_ARGS)

constraints:  ## write constraints.txt from what .venv holds
	@{ echo '# Exact versions that the tests ran with, Linux x86_64, Python 3.11. Made by `make constraints`.'; \
	   $(BIN)/uv pip freeze --python $(BIN)/python --exclude-editable | grep -E '^[A-Za-z0-9_.-]+=='; } > constraints.txt

clean:  ## remove what the commands above made
	rm -rf $(VENV) demo-run .pytest_cache .mypy_cache .ruff_cache
