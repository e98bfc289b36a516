# laionet_assets: two commands to a result are `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
# Of the tests: they wait a quarter of their time (servers, a browser, runs), so one more than two cores.
WORKERS ?= 3
# Versions to install, such as constraints.txt; without it, the newest that pyproject.toml allows.
CONSTRAINTS ?=
FLOORS := .venv-floors
FLOORS_STAMP := $(FLOORS)/.installed
SITE := -c "import sysconfig; print(sysconfig.get_path('purelib'))"
RIVAL := .venv-bench
RIVAL_STAMP := $(RIVAL)/.installed

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow test-fast test-floors coverage constraints ui bench peaks soak img2dataset check lint docs clean

help:  ## What there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

setup: $(STAMP)  ## Create .venv with everything in it (5 to 10 minutes, once)

$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS)) --editable ".[s3,dev]"
	touch $(STAMP)

demo: $(STAMP)  ## A small synthetic web becomes LAIONet, and how models do on it
	$(BIN)/laionet run
	$(BIN)/laionet sql "select recipe, count(*) as images, count(distinct wnid) as classes from core.laionet group by all order by all"
	$(BIN)/laionet sql "select image_set, model, weighting, classes, accuracy, ci_low, ci_high from marts.accuracy where k = 1 order by weighting, model, image_set"
	@echo "Synthetic pictures: the gap between curated and web pictures is drawn, not found. Next: make ui, or $(BIN)/laionet sql \"from marts.accuracy_gap\""

test: $(STAMP)  ## All tests but the slow ones (those on real data where LAIONET_REAL_DATA names it)
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder

test-slow: $(STAMP)  ## The slow tests: kills, the UI, S3, whole taxonomies, null webs, minutes each
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

test-fast: $(STAMP)  ## Unit tests alone
	$(BIN)/python -m pytest -m "not slow" tests/unit

test-floors: $(FLOORS_STAMP)  ## Unit tests with the lowest versions that pyproject.toml allows, in a venv of its own
	$(FLOORS)/bin/python -m pytest -m "not slow" tests/unit

# Only what has a floor is installed there; the rest, torch above all, is .venv's at the version at hand.
$(FLOORS_STAMP): $(STAMP) constraints-floors.txt
	$(PYTHON) -m venv --clear $(FLOORS)
	$(BIN)/python $(SITE) > "$$($(FLOORS)/bin/python $(SITE))/rest.pth"
	$(FLOORS)/bin/python -m pip install --quiet --constraint constraints-floors.txt --editable ".[s3,dev]"
	touch $@

coverage: $(STAMP)  ## `make test`, and the share of the code that it runs: fails below the floor in pyproject.toml
	$(BIN)/python -m pytest -m "not slow" -n $(WORKERS) --dist loadfile --no-loadscope-reorder --cov --cov-report=term

# torch's build (CPU, CUDA) and what comes with it follow the machine, not this file.
constraints: $(STAMP)  ## Write constraints.txt from .venv: after a green run
	$(BIN)/python -m pip freeze --quiet --exclude-editable | sed 's/+.*//' \
		| grep -vE '^(nvidia-|cuda-|triton)' > constraints.txt

ui: $(STAMP)  ## The Dagster UI on http://127.0.0.1:3000
	$(BIN)/laionet ui

bench: $(STAMP) img2dataset  ## Every stage beside the published way; writes docs/benchmarks.md (fetching needs nginx)
	$(BIN)/python -m tests.bench

peaks: $(STAMP)  ## Memory of a whole run of a part of 13 million rows and of four of 2 million; writes docs/memory.md
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT \
		&& $(BIN)/python -m tests.bench.peaks "$$folder/one" --parts 1 --rows 13000000 --update && rm -rf "$$folder/one" \
		&& $(BIN)/python -m tests.bench.peaks "$$folder/four" --parts 4 --rows 2000000 --naming --update

soak: $(STAMP)  ## Kill, read, fill up, lock and shift the clock of a warehouse for an hour; writes docs/soak.md
	$(BIN)/python -m tests.soak

img2dataset: $(RIVAL_STAMP)

$(RIVAL_STAMP):  # its pins are not ours: a venv of its own. Without it the benchmark says what it left out
	$(PYTHON) -m venv $(RIVAL) && $(RIVAL)/bin/python -m pip install --quiet img2dataset==1.47.0 && touch $@ \
		|| echo "img2dataset did not install: the benchmark of fetching will say so"

check: $(STAMP) lint  ## Settings, yml, SQL, dependencies, documentation, unit tests of SQL
	$(BIN)/laionet check

lint: $(STAMP)  ## Style of Python and SQL, and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/mypy

docs: $(STAMP)  ## The pages of all tables (docs/tables, from sql/**) and of all keys (docs/settings.md)
	$(BIN)/python -m laionet_assets.commands.documenting docs/tables
	$(BIN)/python -m laionet_assets.commands.documenting_settings docs/settings.md

clean:  ## Forget the warehouse and Dagster's state; keep .venv
	rm -rf warehouse .dagster
