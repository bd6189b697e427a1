# Croupier: `make` alone lists what there is. Needs Python 3.11 or newer, pip, make and git; installs the rest itself.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
TOOLS := .tools/uv-$(UV_VERSION)
UV := UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1 $(CURDIR)/$(TOOLS)/bin/uv
BIN := .venv/bin
ARGS ?=
DATABASE_URL ?=
TEST_PROCESSES ?= 2

.PHONY: help demo test test-system lint types bench drill docs clean format

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

# The installer lives in a folder of its own, so that neither the system's Python nor the project's is touched.
$(TOOLS)/bin/uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Croupier needs Python 3.11 or newer: make PYTHON=python3.12 …"; exit 1; }
	@echo "installing the package installer into $(TOOLS)"
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --target $(TOOLS) uv==$(UV_VERSION)

.venv/.ready: pyproject.toml signing/pyproject.toml uv.lock $(TOOLS)/bin/uv
	@echo "installing the locked dependencies into .venv"
	@$(UV) sync --quiet --locked --python $(PYTHON)
	@touch $@

demo: .venv/.ready ## play real signed rounds through a real database; ARGS="--once --players 50 --rounds 40 --json out.json"
	@$(BIN)/croupier demo $(ARGS)

test: .venv/.ready ## the test suite; DATABASE_URL=postgresql://… runs it on another server
	DATABASE_URL=$(DATABASE_URL) $(BIN)/pytest -n $(TEST_PROCESSES) --dist loadfile -m "not system" --ignore tests/crash --ignore tests/e2e $(ARGS)
	@echo "left out: whole deployments that are killed, and the documentation's pages executed: make drill"
	@echo "left out: tests that need a system package (a second PostgreSQL, Chromium): make test-system"

test-system: .venv/.ready ## what needs packages of the operating system: another PostgreSQL, a real browser
	@$(UV) sync --quiet --locked --python $(PYTHON) --group system
	@bash tests/system.sh

lint: .venv/.ready ## ruff, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: .venv/.ready ## mypy, strict
	$(BIN)/mypy
	$(BIN)/mypy tests/model signing/tests signing/vectors

format: .venv/.ready ## rewrite the code in the project's format
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/.ready ## load tests with their comparison designs in the same run
	$(BIN)/croupier bench ledger $(ARGS)
	$(BIN)/croupier bench callbacks $(ARGS)

drill: .venv/.ready ## whole deployments: kill workers, databases and wallets under load; execute the documentation's pages
	$(BIN)/pytest tests/crash tests/e2e -n $(TEST_PROCESSES) --dist loadfile -m "not system" $(ARGS)

docs: .venv/.ready ## write the generated reference pages again
	$(BIN)/python -m croupier.cli.reference

clean: ## remove everything that was made here
	rm -rf .venv .tools .croupier .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist build out.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
