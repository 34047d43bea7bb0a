# Two commands do everything: `make demo` runs the main job, `make test` passes the tests.
# Both set the project up on their first run (Python packages, chain tools) and re-install nothing afterwards.

.DEFAULT_GOAL := help
SHELL := bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FORGE_BIN = $(firstword $(wildcard node_modules/@foundry-rs/forge-*/bin))
# The native forge first: npm's wrapper exits 0 even when tests fail.
FORGE = PATH="$(CURDIR)/$(FORGE_BIN):$$PATH" FOUNDRY_OFFLINE=true forge
# The tests are compiled quickly and run against what is deployed: see [profile.test] in foundry.toml.
FORGE_TEST = PATH="$(CURDIR)/$(FORGE_BIN):$$PATH" FOUNDRY_OFFLINE=true FOUNDRY_PROFILE=test POT_ARTIFACTS=build/forge/out forge test
SEEDS ?= 300
GAS_JSON ?= gas.json
# torch with one thread a process: several processes share the machine.
export OMP_NUM_THREADS ?= 1
export IPFS_TELEMETRY := off

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

.PHONY: setup
setup: $(VENV)/.installed node_modules/.installed ## Install Python packages and chain tools (done by every other target)

$(VENV)/.installed: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found"; echo "hint: install Python 3.11 or later"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: $$($(PYTHON) --version) is too old"; echo "hint: install Python 3.11 or later, or run make PYTHON=python3.12"; exit 1; }
	@echo "==> setting up Python packages in $(VENV) (torch is large: minutes on a slow line)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@touch $@

node_modules/.installed: package.json package-lock.json
	@command -v npm >/dev/null || { echo "error: npm not found"; echo "hint: install Node.js 20 or later"; exit 1; }
	@echo "==> setting up chain tools in node_modules (anvil, forge, solc, OpenZeppelin)"
	@# not `npm ci`: it refuses a lock without the optional packages of platforms that a registry does not carry
	@npm install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(BIN)/python -c 'import sys; from ipfs.kubo_binary import find_kubo; sys.exit(find_kubo() is None)' || { \
	  echo "==> looking for a Kubo binary from npm (optional)"; \
	  npm rebuild kubo --loglevel=silent >/dev/null 2>&1 || true; }
	@touch $@
node_modules/.installed: | $(VENV)/.installed

.PHONY: demo
demo: setup ## The main job: fund a task, train it with 5 miners and 4 validators, prove the result
	@$(BIN)/pot demo $(ARGS)

.PHONY: test
test: setup test-contracts test-python ## All tests

.PHONY: test-contracts
test-contracts: setup
	@echo "==> forge build (what is deployed), forge test (against it)"
	@mkdir -p build
	@$(FORGE) build --quiet contracts/src contracts/test/mocks/BlsHarness.sol
	@$(FORGE_TEST) --json > build/forge-test.json || { $(FORGE_TEST); exit 1; }
	@$(BIN)/python scripts/forge_summary.py build/forge-test.json

.PHONY: test-python
test-python: setup
	@echo "==> pytest"
	@$(BIN)/python -m pytest -q $(PYTEST_ARGS)

.PHONY: lint
lint: setup ## ruff, mypy, import-linter, forge fmt, forge lint
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy && $(BIN)/mypy -p scripts.audit -p scripts.bench -p scripts.chaos
	@$(BIN)/lint-imports
	@$(FORGE) fmt --check
	@# a cache of its own: forge 1.7 leaves a cache behind from which the next `forge test` misses whole suites
	@FOUNDRY_OUT=build/forge-lint/out FOUNDRY_CACHE_PATH=build/forge-lint/cache $(FORGE) lint --deny warnings

.PHONY: audit
audit: setup build/audit-venv/.installed ## All the evidence that the contracts are right, one table (under an hour)
	@$(BIN)/python -m scripts.audit

.PHONY: audit-quick
audit-quick: setup build/audit-venv/.installed ## A slice of every layer of the audit (minutes)
	@$(BIN)/python -m scripts.audit --quick

build/audit-venv/.installed: scripts/audit/requirements.txt | $(VENV)/.installed
	@echo "==> setting up the auditors' tools in build/audit-venv (slither, halmos)"
	@mkdir -p build
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python build/audit-venv
	@$(BIN)/uv pip install --quiet --python build/audit-venv/bin/python -r scripts/audit/requirements.txt
	@touch $@

.PHONY: mutants
mutants: setup ## Mutation testing alone: make mutants ARGS="--sample 50 --files Tasks"
	@$(BIN)/python -m scripts.audit.mutation.campaign $(ARGS)

.PHONY: gas
gas: setup ## Gas of whole transactions, as a table and in gas.json
	@$(BIN)/python -m scripts.audit.layers.gas $(GAS_JSON)

.PHONY: snapshots
snapshots: setup ## Accept the storage layout and the gas figures as they are
	@$(BIN)/python -m scripts.audit.snapshots

.PHONY: sim
sim: setup ## Simulate the consensus in hostile worlds: make sim SEEDS=10000
	@$(BIN)/python -m pot_chain.pbft.sim --seeds $(SEEDS)

.PHONY: bench-pbft
bench-pbft: setup ## Commit latency of the consensus beside its network's limit: make bench-pbft ARGS=--quick
	@mkdir -p build
	@$(BIN)/python -m scripts.bench.pbft --json build/bench-pbft.json $(ARGS)

.PHONY: chaos-pbft
chaos-pbft: setup ## Validators' consensus as processes that are killed, stopped, cut off: make chaos-pbft SEEDS=10 SECONDS=60
	@$(BIN)/python -m scripts.chaos --seeds $(if $(filter file,$(origin SEEDS)),10,$(SEEDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(ARGS)

.PHONY: fuzz-pbft
fuzz-pbft: setup ## Malformed frames at a live replica: make fuzz-pbft FRAMES=1000000
	@$(BIN)/python -m scripts.chaos.fuzz --frames $(or $(FRAMES),1000000) $(ARGS)

.PHONY: kubo
kubo: ## Build the pinned Kubo from source (needs Go; cached outside the clone)
	@$(PYTHON) scripts/kubo/build.py

.PHONY: clean
clean: ## Remove everything that make made
	rm -rf $(VENV) node_modules build report .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
