# Every command a person needs.  `make` alone lists them.
#
# Needs Python 3.11 or later, git and make; everything else is fetched by `make setup`, which the others run first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Containers often set it.  Then every process compiles what it imports anew: nine seconds for each that runs tests.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
UV_VERSION := 0.13.9
# On two cores: while one waits for a server or a clock, the others have them.
TEST_PROCESSES ?= 3
PYTEST := $(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal
COVERED := tests/pure tests/gateways
QUICK := --ignore=tests/pure/sandbox $(COVERED) tests/database/test_statements.py
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
	--python-version 3.11 --extra sandbox --extra otel --extra reports pyproject.toml

.PHONY: help setup rabbitmq prometheus tools installed run test test-quick test-long test-rest check lint cover bench abuse faults alerts fuzz histories lives docs pictures lock clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: .venv/ready  ## The virtual environment, with what the locks name
	@:

# One environment for running and for development: the second would cost more than the few packages it leaves out.
.venv/ready: requirements-dev.lock pyproject.toml deploy/venv.sh
	@UV_VERSION=$(UV_VERSION) bash deploy/venv.sh .venv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

rabbitmq:  ## RabbitMQ from apt, unless it is there or cannot be installed; no service is started
	@$(if $(filter none,$(BROKER)),,bash deploy/install-rabbitmq.sh)

tools:  ## nginx, systemd-analyze, Chromium and hledger from apt, for tests that need them, unless they are there; no service is started
	@bash deploy/install-tools.sh

prometheus:  ## Prometheus and promtool from apt, unless they are there or cannot be installed; no service is started
	@bash deploy/install-prometheus.sh

run: setup rabbitmq  ## All of it, played with by a sandbox; SECONDS=20 ends it, BROKER=none, GATEWAYS=all
	@$(BIN)/tillkeeper sandbox --up $(if $(SECONDS),--seconds $(SECONDS)) $(if $(BROKER),--broker $(BROKER)) \
		$(if $(GATEWAYS),--gateways $(GATEWAYS))

test: setup rabbitmq prometheus tools  ## The tests, on real servers, in three processes; ARGS="-k word" for some; COVER=1 asks for coverage as well
	@$(if $(COVER),$(MAKE) cover test-rest,$(PYTEST) -m "not long and not faults and not installed" $(ARGS))

test-long: setup rabbitmq prometheus tools  ## The tests of whole systems: sandbox runs, images, upgrade, restore, schemathesis, the bench in miniature
	@$(PYTEST) -m "long and not faults and not installed" $(ARGS)

test-quick: setup  ## A minute of tests: the rules, the gateways without what is slow, every SQL statement
	@$(PYTEST) -q -m "not slow and not faults and not installed" --hypothesis-profile quick $(QUICK) $(ARGS)

test-rest: setup rabbitmq prometheus tools  ## The tests that `make cover` does not run: those that take long, and with databases, brokers and processes
	@$(PYTEST) -m "not covering and not long and not faults and not installed" $(ARGS)

check: lint cover  ## Lint, format, types, import rules, and full coverage of domain/ and gateways/

lint: setup  ## Lint, format, types and import rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

cover: setup  ## Every branch of domain/ and gateways/ is tested by tests of their own
	@$(PYTEST) -q -m covering $(COVERED) --cov=tillkeeper.domain --cov=tillkeeper.gateways --cov-branch \
		 --cov-report=term-missing:skip-covered --cov-fail-under=100

bench: setup rabbitmq  ## What is measured, printed as ratios of one run
	@$(BIN)/python -m bench

abuse: setup  ## A good client beside each attack of an outsider, and what refusing costs; ARGS="--seconds N --only slow_body"
	@$(BIN)/python -m bench.unsigned
	@$(BIN)/python -m bench.abuse $(ARGS)

retention: setup  ## Retention on 5,000,000 deliveries while a worker applies events; takes 30 GB of disk for a while
	@$(BIN)/python -m bench.retention $(ARGS)

faults: setup rabbitmq  ## Everything that kills, hangs and restarts things, the long run of 20,000 deliveries too
	@$(BIN)/python -m pytest tests/faults -m "" $(ARGS)

.PHONY: mutants
mutants: setup  ## Spoils domain/ and what verifies, bit by bit; what no test notices; ARGS="'tillkeeper.domain.money*'"
	@$(BIN)/mutmut run --max-children $(TEST_PROCESSES) $(ARGS)
	@$(BIN)/mutmut results

alerts: setup rabbitmq prometheus  ## Provokes every alert on a running Tillkeeper, sees it fire, follows its runbook; ARGS="-k Parked"
	@$(BIN)/python -m pytest tests/system/watching/test_alerts.py -m "" $(ARGS)

installed: setup  ## A wheel in an empty Debian, as root with debootstrap: pip install, init, check, run, and an order is paid
	@$(BIN)/python -m pytest tests/installed -m installed $(ARGS)

fuzz: setup  ## A million spoilt deliveries and API answers over all gateways; ARGS="--count N --seed N --gateways stripe"
	@$(BIN)/python tests/gateways/fuzz.py $(ARGS)

histories: setup  ## 100,000 random histories of orders, each told in four orders of arrival; ARGS="--count N --seed N"
	@$(BIN)/python -m tests.pure.domain.histories $(ARGS)

lives: setup  ## 100,000 schedules of an order's life: random lines, and trees of all that may happen next; ARGS="--count N --lines N --seed N"
	@$(BIN)/python -m tests.pure.domain.lives $(ARGS)

.PHONY: keep
keep: setup  ## When a release is cut: keeps its program for the upgrade test; VERSION=0.1.0
	@$(BIN)/python -m tests.releases.kept $(VERSION)

docs: setup  ## The pages of docs/ and the dashboards that are printed from tables: gateways, states, metrics
	@$(BIN)/python docs/access.py
	@$(BIN)/python docs/gateways.py
	@$(BIN)/python docs/states.py
	@$(BIN)/python docs/orders_api.py
	@$(BIN)/python docs/desk_api.py
	@$(BIN)/python docs/metrics.py
	@$(BIN)/python docs/dashboards.py

pictures: setup  ## The mails and the pages in docs/pictures, drawn by the Chromium of this machine
	@$(BIN)/python docs/pictures.py
	@$(BIN)/python docs/desk_pictures.py

lock: setup  ## Writes the locks anew from pyproject.toml; ARGS=--upgrade for newer versions
	@$(COMPILE) $(ARGS) --output-file requirements.lock
	@$(COMPILE) --group dev $(ARGS) --output-file requirements-dev.lock

clean:  ## Removes everything that make made, but not RabbitMQ
	rm -rf .venv .run mutants .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
