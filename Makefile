# What there is to do here: `make help`.
SHELL := /bin/sh
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := dev run agent gateway rooms auth backup mutate

export PYTHONDONTWRITEBYTECODE ?=

help: ## list what there is
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.run ## run everything here: PORT=8080 HOST=127.0.0.1 TLS=1 DATA=.data NATS_URL=… REPLICAS=2 NATS_SERVERS=3
	@exec $(BIN)/python -m services

agent: $(VENV)/.agent ## with `make run` in another terminal: an agent that greets and echoes in ROOM=daily
	@exec $(BIN)/python clients/python/examples/echo_agent.py --room $(or $(ROOM),daily) $(ARGS)

# Two processes; with ARGS one, in which a debugger works too. LONGEST: how many of the slowest are told.
WORKERS ?= $(if $(ARGS),0,2)
LONGEST ?= 15
PYTEST = $(BIN)/python -m pytest --numprocesses $(WORKERS) --durations $(LONGEST)

test: $(VENV)/.dev ## what every change is tried with, of every layer: minutes; ARGS='-k join -x' go to pytest
	@$(PYTEST) -m "not slow" $(ARGS)

test-all: $(VENV)/.dev ## every test
	@$(PYTEST) $(ARGS)

test-slow: $(VENV)/.dev ## what `make test-all` has and `make test` has not
	@$(PYTEST) -m slow $(ARGS)

backup: $(VENV)/.run ## back up what runs on DATA=.data, or NATS_URL=…, into a new folder below TO=backups
	@exec $(BIN)/python -m services.backup --data $(or $(DATA),.data) take $(or $(TO),backups)

restore: $(VENV)/.run ## bring the backup FROM=backups/<time> back; REPLACE=1 deletes what is there now
	@exec $(BIN)/python -m services.backup --data $(or $(DATA),.data) restore $(if $(REPLACE),--replace) $(FROM)

check: $(VENV)/.dev ## lint, format, types, layering, size
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mypy clients/python/examples
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m docs.configuration --check
	@$(BIN)/python -m clients.messages --check
	@if command -v npm >/dev/null; then $(MAKE) --silent --no-print-directory $(NODE) && npm --prefix clients/js run --silent check; \
	else echo "the types of clients/js were not checked: there is no npm here"; fi
	@$(BIN)/python -m checks.size

bench: $(VENV)/.dev ## measure and print: joins, relay, CPU, memory
	@$(BIN)/python -m bench $(ARGS)

faults: $(VENV)/.dev ## kill, stop and cut for real, and print what held: ARGS='kills race --short'
	@$(BIN)/python -m tests.faults $(ARGS)

# mutmut keeps what it found, though tests change; so all of it begins anew. The mutants that ARGS names it tries again.
mutate: $(VENV)/.mutate ## change the pure rules of rooms, SDP and candidates, and tell what no test notices: ARGS='services.rooms.seats*'
	@$(if $(ARGS),,rm -rf mutants)
	@$(BIN)/mutmut run $(ARGS)
	@$(BIN)/python -m tests.mutation

docs: $(VENV)/.dev ## write docs/configuration.md from the settings, and the message types of clients/js from the models
	@$(BIN)/python -m docs.configuration
	@$(BIN)/python -m clients.messages

format: $(VENV)/.dev ## format the code
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

lock: $(VENV)/.uv ## write requirements/*.txt from pyproject.toml
	@compile="$$(cat $(VENV)/.uv) pip compile --universal --generate-hashes --quiet --no-annotate --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command 'make lock'"; \
	for group in $(LOCKS); do \
	  same=$$( [ $$group = dev ] || echo --constraints requirements/dev.txt ); \
	  eval "$$compile pyproject.toml --group $$group $$same $(ARGS) --output-file requirements/$$group.txt" || exit 1; \
	done; \
	echo uv | eval "$$compile - $(ARGS) --output-file requirements/uv.txt"

clean: ## remove what was installed and built (not .data)
	@rm -rf $(VENV) clients/js/node_modules clients/js/types .mypy_cache .ruff_cache .hypothesis build mutants

# uv installs from the hashed locks; where it is missing it is fetched from the package index, from its own lock.
$(VENV)/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit("Parley needs Python 3.11 or later; this is " + sys.version.split()[0] + " (choose one with PYTHON=…)" if sys.version_info < (3, 11) else 0)'
	@if uv --version >/dev/null 2>&1; then \
	  [ -x $(BIN)/python ] || uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" $(VENV); \
	  echo uv > $@; \
	else \
	  [ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV) || { echo "Python's venv module is incomplete here; on Debian: apt install python3-venv" >&2; rm -rf $(VENV); exit 1; }; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt && echo $(BIN)/uv > $@; \
	fi

INSTALL = $$(cat $(VENV)/.uv) pip install --quiet --python $(BIN)/python
# Compiled here, once: several processes start together, and where PYTHONDONTWRITEBYTECODE is set each would do it anew.
LOCKED = $(INSTALL) --compile-bytecode --require-hashes -r
CLIENT = $(INSTALL) --no-deps --no-build-isolation --editable clients/python

$(VENV)/.run: requirements/run.txt clients/python/pyproject.toml $(VENV)/.uv
	@echo "installing what Parley runs with (requirements/run.txt)"
	@$(LOCKED) requirements/run.txt
	@$(CLIENT)
	@touch $@

$(VENV)/.agent: requirements/agent.txt $(VENV)/.run
	@echo "installing what the agent needs (requirements/agent.txt)"
	@$(LOCKED) requirements/agent.txt
	@touch $@

$(VENV)/.dev: requirements/dev.txt clients/python/pyproject.toml $(VENV)/.uv
	@echo "installing what the checks and tests need (requirements/dev.txt)"
	@$(LOCKED) requirements/dev.txt
	@$(CLIENT)
	@touch $@ $(VENV)/.run $(VENV)/.agent

$(VENV)/.mutate: requirements/mutate.txt $(VENV)/.dev
	@echo "installing what changes the code (requirements/mutate.txt)"
	@$(LOCKED) requirements/mutate.txt
	@touch $@

# Only for checks and tests: what is served and published are the sources themselves.
NODE = clients/js/node_modules/.package-lock.json

$(NODE): clients/js/package-lock.json
	@echo "installing what checks the JavaScript SDK (clients/js/package-lock.json)"
	@cd clients/js && npm ci --silent --no-audit --no-fund
	@touch $@

.PHONY: help run agent backup restore mutate test test-all test-slow check bench faults docs format lock clean
