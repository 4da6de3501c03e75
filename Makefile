# The one entry for set-up and checks. `make test` needs Python 3.11+ (with venv), git and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# The Swarm tests mostly wait, so more run at once than there are cores.
PYTEST_ARGS ?= -n 4 --dist worksteal
STAMP  := $(VENV)/.ready

.PHONY: test test-real fast covered inversions demo bench setup format clean

test: $(STAMP)  ## lint, types and every test this machine can run; the branches of what decides first
	$(BIN)/python -m scripts.covered
	$(BIN)/python -m pytest -m "not real" $(PYTEST_ARGS)

covered: $(STAMP)  ## the branches of the modules that decide, and those that no test takes
	$(BIN)/python -m scripts.covered

inversions: $(STAMP)  ## turn each gate and verdict rule round and see a test fail; some twenty minutes
	$(BIN)/python -m scripts.invert

fast: $(STAMP)  ## the tests that need no Engine
	$(BIN)/python -m pytest -m "not swarm and not slow and not real" $(PYTEST_ARGS)

test-real: $(STAMP)  ## real Keycloak and MariaDB, and full sizes; root, fifteen minutes, 3 GB in ~/.cache/ccci-upgrade-tests
	$(BIN)/python -m tests.real.images
	$(BIN)/python -m pytest -m real

demo: $(STAMP)  ## the main job on a practice host, start to end, in under a minute; needs no Docker, no abra, no root
	@$(BIN)/python -m ccci_upgrade.practice.demo

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --group dev --editable .
	touch $@

bench: $(STAMP)  ## one table of how fast it is; takes ten minutes, exit 1 where a bar is missed
	$(BIN)/python -m bench

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV)
