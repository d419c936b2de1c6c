# Start with `make demo` and `make test`; `make help` lists the other targets.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PB     := ceems_grpc/pb
PROTOS := $(sort $(wildcard proto/*.proto))

# The tests of `make quick`: those of the query's way that need only Python and little time.
UNIT_TESTS := tests/domain tests/panels tests/store tests/docs --ignore tests/domain/test_against_model.py \
              -m "not postgres and not browser and not go and not slow"

.DEFAULT_GOAL := help
include packaging/package.mk

.PHONY: help setup proto demo test quick lint types imports unit coverage python frontend lock bench bench-scale soak fuzz e2e audit dashboards clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

setup: $(VENV)/.installed proto ## create .venv with everything that the project needs

$(VENV)/.installed: pyproject.toml requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed (set PYTHON=...)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

proto: $(PB)/.generated ## compile proto/ into ceems_grpc/pb

$(PB)/.generated: $(PROTOS) $(VENV)/.installed
	rm -rf $(PB) && mkdir -p $(PB)
	$(BIN)/python -m grpc_tools.protoc --proto_path=ceems_grpc/pb=proto --python_out=. --pyi_out=. --grpc_python_out=. $(PROTOS:proto/%=ceems_grpc/pb/%)
	touch $(PB)/__init__.py $@

demo: setup ## write a demo database, start the plugin as Grafana does, and print its answers
	$(BIN)/ceems-grpc demo

test: lint types imports python frontend ## run everything that CI runs

quick: ## lint, check types and run the unit tests: under a minute on two cores
	$(MAKE) --no-print-directory setup
	$(MAKE) --no-print-directory --jobs 2 --output-sync lint types imports unit

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive ceems_grpc

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

unit: setup
	$(BIN)/pytest -q -n auto $(UNIT_TESTS)

# Of the unit tests only: measuring doubles the time of code in pytest's process, and does not see the plugin's process.
coverage: setup ## print which lines and branches the unit tests cover
	$(BIN)/pytest -q -n auto --cov --cov-report=term:skip-covered $(UNIT_TESTS)

# Without Node.js the browser tests are skipped and say so. With worksteal, a worker takes neighbouring tests, which share
# servers and databases.
python: setup
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory frontend/node_modules/.installed; fi
	$(BIN)/pytest -n auto --dist worksteal

frontend: ## lint, type-check, test and build the frontend (needs Node)
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory frontend-all; \
	else echo "SKIPPED: Node.js is not installed, so the frontend was not tested"; fi

.PHONY: frontend-all
frontend-all: frontend/node_modules/.installed
	cd frontend && npm run --silent lint && npm run --silent typecheck && npm run --silent test:ci && npm run --silent build

frontend/node_modules/.installed: frontend/package.json frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund --loglevel=error
	touch $@

lock: ## update requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock

bench: setup ## compare with plain SQL on a database of a million units (the first run takes half an hour)
	$(BIN)/python -m bench.run

bench-scale: setup ## measure ten million units on two PostgreSQL shards (UNITS=10000000; needs PostgreSQL and 30 GB)
	$(BIN)/python -m bench.scale --units $(or $(UNITS),10000000)

soak: setup ## load test: clients and a writer for ten minutes (SECONDS=600 CLIENTS=32 SLOWER=1), 10,000 changes of settings, all faults
	$(BIN)/python -m tests.load.mix --seconds $(or $(SECONDS),600) --clients $(or $(CLIENTS),32) --slower $(or $(SLOWER),1) \
	  --pause 30 --strict
	$(BIN)/python -m tests.faults.settings --changes 10000
	$(BIN)/pytest tests/faults

fuzz: setup ## fuzz the log reader, plans, query models, URLs and frames for ten minutes (SECONDS=600)
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

e2e: setup ## try dist/ in a real Grafana and a browser (GRAFANA_HOME=/path/to/grafana; needs Chromium)
	@test -f dist/plugin.json || $(MAKE) dist
	$(BIN)/pytest -q -s -n 0 -o addopts=--import-mode=importlib tests/e2e

# Both look up the locked versions. A version that cannot be looked up counts as a failure.
audit: setup ## check dependencies for known vulnerabilities (needs PyPI and the npm registry)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	@if command -v npm >/dev/null; then cd frontend && npm audit --omit=dev --audit-level=moderate; \
	else echo "npm is not installed, so the frontend was not audited"; exit 1; fi

dashboards: setup ## generate the dashboards that ship with the plugin
	$(BIN)/python dashboards/make.py

clean: ## remove everything that the targets created
	rm -rf $(VENV) $(PB) build dist demo frontend/node_modules
