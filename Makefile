# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PB     := ceems_grpc/pb
PROTOS := $(sort $(wildcard proto/*.proto))

.DEFAULT_GOAL := help
include packaging/package.mk

.PHONY: audit bench bench-scale help setup proto demo test lint types imports python frontend lock dashboards clean soak

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(VENV)/.installed proto ## make .venv with everything that the project needs

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

demo: setup ## write a demo database, start the plugin as Grafana does and show what it answers
	$(BIN)/ceems-grpc demo

test: lint types imports python frontend ## everything that CI runs

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive ceems_grpc

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

# The editors are tried in a browser where their modules are; without Node these tests say that they are skipped.
# Each process takes neighbours, for which servers and databases are then made once (worksteal).
python: setup
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory frontend/node_modules/.installed; fi
	$(BIN)/pytest -n auto --dist worksteal

frontend: ## lint, type check, test and build the browser's side (needs Node)
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory frontend-all; \
	else echo "SKIPPED: Node.js is not installed, so the browser's side was not tried"; fi

.PHONY: frontend-all
frontend-all: frontend/node_modules/.installed
	cd frontend && npm run --silent lint && npm run --silent typecheck && npm run --silent test:ci && npm run --silent build

frontend/node_modules/.installed: frontend/package.json frontend/package-lock.json
	cd frontend && npm ci --no-audit --no-fund --loglevel=error
	touch $@

lock: ## renew requirements.lock (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --extra dev pyproject.toml -o requirements.lock

bench: setup ## measure against plain SQL on a database of a million units (half an hour the first time)
	$(BIN)/python -m bench.run

bench-scale: setup ## measure ten million units over two PostgreSQL shards (UNITS=10000000; needs PostgreSQL, and 30 GB the first time)
	$(BIN)/python -m bench.scale --units $(or $(UNITS),10000000)

soak: setup ## ask as 32 clients for ten minutes beside a writer that never rests (SECONDS=600), change settings 10,000 times, try all faults
	$(BIN)/python -m tests.load.mix --seconds $(or $(SECONDS),600) --pause 30 --strict
	$(BIN)/python -m tests.faults.settings --changes 10000
	$(BIN)/pytest tests/faults

# Both ask for what is known of the locked versions; what cannot be asked about is a failure, not a pass.
audit: setup ## look for known weaknesses in what is depended on (needs PyPI and the npm registry)
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements.lock
	@if command -v npm >/dev/null; then cd frontend && npm audit --omit=dev --audit-level=moderate; \
	else echo "npm is not installed, so the browser's side was not audited"; exit 1; fi

dashboards: setup ## write the dashboards that ship with the plugin
	$(BIN)/python dashboards/make.py

clean: ## remove what the targets made
	rm -rf $(VENV) $(PB) build dist demo frontend/node_modules
