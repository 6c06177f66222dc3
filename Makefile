# The one door to everything. `make` lists the targets; `make check` is what CI runs.
VENV ?= .venv
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
# Processes of the test run; each imports torch and takes about a gigabyte.
JOBS ?= 2
# Threads that wait for each other sleep: by default they spin, and processes of a test run that
# share two cores then take six times the processor time.
export OMP_WAIT_POLICY ?= PASSIVE
# More arguments for pytest: make test ARGS="-k stride -x", or ARGS=tests/core/test_device.py, which
# runs the lanes of the paths that it names and no others.
ARGS ?=
PATHS := $(filter tests tests/% src src/%,$(ARGS))
BROWSER_PATHS := $(filter tests/browser%,$(PATHS))

COMMA := ,
SPACE := $(subst ,, )
APIS := $(patsubst src/onetrip/ops/%/api.py,onetrip.ops.%.api,$(wildcard src/onetrip/ops/*/api.py))
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest --numprocesses $(JOBS) --dist loadgroup --quiet
STAMP := $(VENV)/.installed
OTHER_TESTS = $(PYTEST) -m 'not browser' $(ARGS)
# Each is empty where ARGS names paths of the other lane alone.
BROWSER_LANE := $(if $(PATHS),$(if $(BROWSER_PATHS)$(filter tests tests/,$(PATHS)),browser),browser)
OTHER_LANE := $(if $(PATHS),$(filter-out $(BROWSER_PATHS),$(PATHS)),all)

.DEFAULT_GOAL := help
.PHONY: help install system run test browser typed types rules check docs format gpu clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything that development needs

# The stamp is the last thing written: an install that broke off starts again.
$(STAMP): pyproject.toml $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo 'onetrip needs Python 3.11 or newer: make PYTHON=python3.12 install'; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint $(CONSTRAINTS) --editable '.[dev]'
	@touch $@

# Their tests are skipped, and say so, where this cannot be done.
system: ## install Chromium and bubblewrap for the tests that need them, where Debian's tools are
	@if command -v chromium >/dev/null && command -v bwrap >/dev/null; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium bubblewrap \
	    >/dev/null; \
	else echo 'As root, with Debian: apt-get install chromium bubblewrap'; fi

run: install ## tune linear_cross_entropy, make a dataset of antibodies, show the lab at work
	$(BIN)/onetrip tune linear_cross_entropy
	$(BIN)/onetrip data oas demo
	$(BIN)/onetrip lab demo --until-done

test: install $(BROWSER_LANE) ## lanes browser, cpu and compile; no device needed
	$(if $(OTHER_LANE),$(OTHER_TESTS))

# Its loop and the page's threads stay out of the processes of all other tests.
browser: install ## the lab's pages in a browser
	$(PYTEST) --numprocesses 0 -m browser $(if $(PATHS),,tests/browser) $(ARGS) || [ $$? = 5 ]

typed: install ## the cpu lane with the types and shapes of public functions checked at run time
	$(PYTEST) -m 'not errors' \
	  --jaxtyping-packages=$(subst $(SPACE),$(COMMA),$(APIS) beartype.beartype) \
	  tests/ops tests/contracts $(ARGS)

# What takes one core goes two by two; then the tests take both.
check: install ## everything that CI runs
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target types rules browser
	$(OTHER_TESTS)

types: install ## what pyright finds
	$(BIN)/pyright --pythonpath $(BIN)/python

rules: install ## format, imports between rooms, spelling, generated documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python tools/check_docs.py --check
	$(MAKE) --no-print-directory typed ARGS='-k forward' JOBS=0

docs: install ## write the generated parts of the documentation again
	$(BIN)/python tools/check_docs.py --write

format: install ## format, and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

gpu: ## print what to run on a machine with a device
	@echo 'In a checkout on the device machine (torch >= 2.11, triton >= 3.6, pytest, hypothesis):'
	@echo '  PYTHONPATH=src python3 -m pytest -q -m gpu tests/gpu'
	@echo 'and for measurements, which land in results/ (typer, rich, platformdirs):'
	@echo '  PYTHONPATH=src python3 -m onetrip.cli.main bench linear_cross_entropy --save'

clean: ## remove caches and builds; the environment stays
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	find src tests tools examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
