# Two commands do everything: `make demo` and `make test`. Both need Python 3.11 to 3.13 and make, nothing else.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PROFILE ?=
WORLD ?=
PORT ?= 8501
SEEDS ?= 50
QUICK ?=

.PHONY: help install install-dev demo run dashboard test lint types contracts unit acceptance torture accept browser realdata bench bench-peers bench-page soak load lock audit clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.runtime ## Create .venv and install what the engine needs
install-dev: $(VENV)/.dev ## ... and what its tests need

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11 to 3.13 is needed; '$(PYTHON)' is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.12 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "installing (a few minutes the first time)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

demo: install ## Build a synthetic market, learn from it, run the live engine over it (WORLD=walk: nothing to learn)
	$(BIN)/python -m core demo $(if $(WORLD),--world $(WORLD))

run: install ## Run the engine (PROFILE=demo for another profile)
	$(BIN)/python scheduler_run.py $(if $(PROFILE),--profile $(PROFILE))

dashboard: install ## Open the viewer (PROFILE=demo for the demo's database, PORT=8501)
	TRADER_PROFILE=$(PROFILE) $(BIN)/python -m streamlit run dashboard.py --server.port $(PORT)

test: lint types contracts unit acceptance browser ## Install, then check everything

lint: install-dev ## Style: ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install-dev ## Types: mypy, strict
	$(BIN)/mypy

contracts: install-dev ## What may import what
	$(BIN)/lint-imports --config importlinter.ini

unit: install-dev ## Fast tests
	$(BIN)/python -m pytest tests/unit tests/contracts tests/docs -q -n 2 --dist loadfile -m "not realdata"

acceptance: install-dev ## The whole engine against local servers and tapes
	$(BIN)/python -m pytest tests/acceptance tests/meta tests/torture -q -n 2 --dist loadfile -m "not realdata and not accept" $(if $(TRADER_REALDATA),&& $(BIN)/python -m pytest tests -q -m "realdata and not slow",&& echo "not checked against recorded candles: TRADER_REALDATA names no folder")

torture: install-dev ## Kill the engine, cut its power, spoil its market; then compare (SEEDS=50 takes about half an hour)
	$(BIN)/python -m tests.torture --seeds $(SEEDS) --broken all

accept: install-dev ## The bars of the meta-model in their whole size: what was asked, what was measured (half an hour)
	TRADER_JOBS=$${TRADER_JOBS:-2} $(BIN)/python -m pytest tests/meta -q -s -m accept -p no:cacheprovider

browser: install-dev ## The viewer, in a real browser where there is one
	$(BIN)/python -m pytest tests/viewer -q

realdata: install-dev ## Checks on recorded candles; TRADER_REALDATA names their folder
	@test -d "$(TRADER_REALDATA)" || { echo "realdata: set TRADER_REALDATA to a folder with recorded candles"; exit 2; }
	$(BIN)/python -m pytest tests -q -m realdata -s

bench: install-dev ## Measure speed; results go to benchmarks/results
	$(BIN)/python -m benchmarks

bench-peers: install-dev ## Measure other programs on the same candles; they are installed into .venv-peers
	$(BIN)/python -m benchmarks.peers

bench-page: bench bench-peers ## Measure both and write the tables of docs/performance.md anew
	$(BIN)/python -m benchmarks.page

soak: install-dev ## A month of the engine with faults, watched for what grows (twenty minutes; QUICK=1: three minutes)
	$(BIN)/python -m benchmarks.soak $(if $(QUICK),--quick)

load: install-dev ## Many symbols against a local exchange: from a close to decided (half an hour; QUICK=1)
	$(BIN)/python -m benchmarks.load $(if $(QUICK),--quick)

lock: install-dev ## Choose versions again and write both requirements files
	$(BIN)/python -m uv pip compile pyproject.toml --extra build --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --quiet --upgrade -o requirements.txt
	$(BIN)/python -m uv pip compile pyproject.toml --extra build --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --quiet -c requirements.txt -o requirements-dev.txt

audit: install-dev ## Look for known vulnerabilities in what is pinned, and for versions that are not what was pinned
	$(BIN)/python -m tools.audit

clean: ## Remove the environment and caches (databases stay)
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
