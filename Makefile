# Every developer command. `make demo` and `make test` need only Python >= 3.11, pip, make and git.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup setup-server demo up test lint types unit engine15 soak mutants mutation bench docs format clean lock

help: ## list every command
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.dev ## install everything for development into .venv (nothing else is touched)

setup-server: $(VENV)/.server

$(VENV)/.python:
	@[ -n "$(PYTHON)" ] || { echo "Licet needs Python 3.11 or newer; install it or say PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "The venv module is missing; on Debian: apt-get install python3-venv"; exit 1; }
	@touch $@

$(VENV)/.server: requirements/server.txt pyproject.toml | $(VENV)/.python
	@echo "Installing Licet into $(VENV) ..."
	@$(BIN)/pip install -q --require-hashes -r requirements/server.txt
	@$(BIN)/pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.server
	@echo "Installing the development tools into $(VENV) ..."
	@$(BIN)/pip install -q --require-hashes -r requirements/dev.txt
	@touch $@

demo: setup-server ## the main job, live on the bundled database (ARGS=--once ends after the story)
	@$(BIN)/licet demo $(ARGS)

up: setup-server ## start Licet on the bundled database
	@$(BIN)/licet up $(ARGS)

test: setup lint types unit engine15 ## everything, on both PostgreSQL versions
	@echo "make test: all green"

lint: setup ## style and the import contracts
	@$(BIN)/ruff check -q src tests
	@$(BIN)/ruff format -q --check src tests
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

types: setup ## strict types, tests included
	@$(BIN)/mypy

unit: setup ## the whole suite on the bundled PostgreSQL 18
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

# Pages, commands, clients, and how HTTP is spoken say the same on every engine; they are tried on one.
engine15: setup ## what touches the database, on PostgreSQL 15 too
	@LICET_TEST_PG=15 $(BIN)/python -m pytest -q -n 2 --dist loadfile -m "postgres and not slow and not one_engine" \
		--ignore=tests/journeys --ignore=tests/cli --ignore=tests/sdk --ignore=tests/door $(ARGS)

soak: setup ## the full dose: more examples, longer histories (takes long)
	@LICET_TEST_DOSE=full $(BIN)/python -m pytest -q -n 2 --dist loadfile $(ARGS)

mutants: setup ## break owned quota in eight ways; the simulation has to catch each
	@$(BIN)/python -m tests.simulation.mutants

$(VENV)/.mutation: requirements/mutation.txt $(VENV)/.dev
	@$(BIN)/pip install -q --require-hashes -r requirements/mutation.txt
	@touch $@

mutation: $(VENV)/.mutation ## generated mutants of hub and usage, as a report (FULL=1: more of them; ARGS=hub: one part)
	@$(BIN)/python -m tests.mutation.generated $(if $(FULL),--full) $(ARGS)

bench: setup-server ## print the benches of checks, of their spread and their scale (others: docs/operating/benches.md)
	@for b in check scale order_to_access propagation; do $(BIN)/licet bench $$b $(ARGS) || exit $$?; done

format: setup ## put the code into its form
	@$(BIN)/ruff check -q --fix src tests
	@$(BIN)/ruff format -q src tests

lock: ## pin dependencies anew, with hashes (needs uv)
	@for f in server dev mutation; do uv pip compile --universal --python-version 3.11 --generate-hashes --no-header \
		--no-emit-index-url --no-annotate -q requirements/$$f.in -o requirements/$$f.txt; done

clean: ## remove what was installed and made, the bundled database of this checkout included
	@[ ! -x $(BIN)/licet ] || $(BIN)/licet doctor --remove-home --yes
	@rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
