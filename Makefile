# From a bare checkout to whatever is asked for. `make help` lists it.
#
# The virtual environment is .venv; what is in it is exactly what the lock files say, checked by hash.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Nothing is fetched here; the warning left out is that an editable installation finds what lies in this folder.
INSTALL_CHECKOUT = PYTHONWARNINGS=ignore $(PIP) install --no-deps --no-build-isolation --no-index -e .
PYTEST ?= $(BIN)/pytest
PARALLEL ?= --numprocesses=auto --dist=loadgroup
# A run of the suite starts dozens of processes; what one of them compiled, the next ones read.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help:
	@echo 'make run        install, migrate, load demo content once, start everything'
	@echo 'make test       install, then the whole suite; what a missing server prevents is skipped by name'
	@echo 'make test-fast  the part of the suite that needs no server, without the longest tests'
	@echo 'make check      style, types, imports, templates, then the whole suite'
	@echo 'make format     put the code into the form that make check asks for'
	@echo 'make translations   put new texts into the Chinese catalogue and compile it'
	@echo 'make migration MESSAGE=…   a migration for what the models say and the migrations do not'
	@echo 'make screenshots   take the pictures of the README anew'
	@echo 'make degrading     take the pictures of what people see when parts fail'
	@echo 'make vendor     fetch and rebuild what static/vendor takes from npm packages'
	@echo 'make install    the virtual environment in .venv alone'
	@echo 'make install-production   the same without what only developers need'
	@echo 'make bench      the benchmarks; BENCH="--size 100000" for the long form'
	@echo 'make drill      the long fault drill'

.PHONY: install install-production
install: $(VENV)/installed-development
install-production: $(VENV)/installed-production

$(VENV)/installed-development: requirements-dev.lock requirements-build.lock pyproject.toml $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(INSTALL_CHECKOUT)
	@touch $@

$(VENV)/installed-production: requirements.lock requirements-build.lock pyproject.toml $(VENV)/bin/python
	$(PIP) install --require-hashes -r requirements-build.lock -r requirements.lock
	$(INSTALL_CHECKOUT)
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo 'Casebook needs Python 3.11 or later; say which with make PYTHON=/path/to/python3.' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null \
	    || { echo 'This Python makes no virtual environments. On Debian: apt-get install python3-venv' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

.PHONY: run
run: install
	$(BIN)/casebook init
	$(BIN)/casebook demo
	$(BIN)/casebook up

# The Chinese catalogue: new texts come in untranslated, the compiled file is tracked beside its source.
CATALOGUE := portal/translations
.PHONY: translations
translations:
	@mkdir -p build
	$(BIN)/pybabel --quiet extract --mapping-file=babel.cfg --keyword=lazy_gettext --keyword=lazy_ngettext:1,2 --add-location=file --ignore-dirs='.* __pycache__' \
	    --sort-output --project=Casebook --output-file=build/messages.pot .
	$(BIN)/pybabel --quiet update --input-file=build/messages.pot --output-dir=$(CATALOGUE) --locale=zh \
	    --no-fuzzy-matching --ignore-obsolete --omit-header --width=120
	$(BIN)/pybabel --quiet compile --use-fuzzy --directory=$(CATALOGUE)

# The files taken from npm packages: fetched again, checked against static/vendor/VENDOR.toml, rebuilt.
.PHONY: vendor
vendor:
	$(PYTHON) static/vendor/refresh.py

.PHONY: servers
servers: install
	$(BIN)/python -m tests.servers --install

.PHONY: test test-fast
test: servers
	$(PYTEST) $(PARALLEL)
test-fast: install
	$(PYTEST) $(PARALLEL) -m 'not servers and not drill and not thorough'

# Each part can be run alone; `make --keep-going check` runs all of them whatever fails first.
.PHONY: check style types imports templates format
check: style types imports templates test
style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@# What is graver than ruff's own rules from bandit, which are given reasons line by line.
	$(BIN)/bandit --quiet --recursive --severity-level high portal indexer opensearch wsgi.py
types: install
	$(BIN)/mypy
imports: install
	$(BIN)/lint-imports --no-logo
# The rules that no linter knows are in tests/test_architecture.py.
templates: install
	$(BIN)/djlint --quiet --lint templates

# The pictures of the README, of a portal of its own with the demo content.
.PHONY: screenshots
screenshots: servers
	$(BIN)/python -m docs.screenshots

# The pictures of docs/degrading.md, of a portal whose parts are taken away one after the other.
.PHONY: degrading
degrading: servers
	$(BIN)/python -m docs.degrading_pictures $(ONLY)

# make migration MESSAGE='articles have a colour': what the models say and the migrations do not yet.
.PHONY: migration
migration: install
	@test -n "$(MESSAGE)" || { echo "Say what changes: make migration MESSAGE='articles have a colour'" >&2; exit 2; }
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && export CASEBOOK_DATA_DIR=$$folder \
	    && $(BIN)/flask --app portal.migrating db upgrade && $(BIN)/flask --app portal.migrating db migrate --message "$(MESSAGE)" \
	        --rev-id "$$(printf %04d $$(( $$(ls migrations/versions | grep -c '^[0-9].*py$$') + 1 )))"
	sed -i '/# ###/d' migrations/versions/*.py
	$(BIN)/ruff format --quiet migrations && $(BIN)/ruff check --quiet --fix migrations

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# What it measures stands beside what is aimed at, in one table.
.PHONY: bench
bench: servers
	$(BIN)/python -m tests.benchmarks $(BENCH)

# The long form, on each setup in turn, half an hour or more each, and one table of all verdicts at the end; build/drill.jsonl
# keeps them (python -m tests.drills --table build/drill.jsonl). One alone: make drill DRILLS=cluster FAULTS=20 WRITES=5000
DRILLS ?= embedded production cluster
FAULTS ?= 100
WRITES ?= 50000
SEED ?= 20
.PHONY: drill
drill: servers
	DRILL_S=60 $(PYTEST) --capture=no tests/drills/test_locks.py
	$(BIN)/python -m tests.drills --long --setup $(DRILLS) --seed $(SEED) --faults $(FAULTS) --writes $(WRITES) \
	    --import-share 0.6 --report build/drill.jsonl
