# Every target sets up what it needs: a .venv, with uv where it is installed, else with pip.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
EXTRAS ?= dev
comma := ,
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))
WORKERS ?= 2
TESTS ?=
PIN ?= /dev/null
# Tests of one file run in one process, files in the order in which they are collected.
# Only the plugin that is used: each process would import those of zarr, hypothesis and others.
PYTEST = PYTEST_DISABLE_PLUGIN_AUTOLOAD=1 $(BIN)/python -m pytest -p xdist.plugin \
  -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 15

# Modules that are imported by each worker and each process of a test are compiled once.
unexport PYTHONDONTWRITEBYTECODE

.DELETE_ON_ERROR:
.PHONY: demo test test-all test-quick test-oldest fuzz faults lint docs bench package extras clean
demo: $(STAMP)
	$(BIN)/python examples/eight_schools.py

test: $(STAMP)
	$(PYTEST) -m "not slow" $(TESTS)

# All tests, compiled as users compile; the others let XLA optimize less.
test-all: $(STAMP)
	TESTS_COMPILE_AS_RELEASED=1 $(PYTEST) $(TESTS)

# The quickest files of every floor: a minute, for the inner loop.
QUICK := $(addsuffix .py, \
  $(addprefix tests/bijectors/test_,compose maps support) \
  $(addprefix tests/infer/models/test_,centering declared inputs missing names precision sets) \
  $(addprefix tests/infer/numerics/test_,agreement leapfrog long_sum threefry warmup) \
  $(addprefix tests/infer/programs/test_,by_name native) \
  $(addprefix tests/infer/density/test_,gathers parts transforms unused) \
  $(addprefix tests/infer/engines/test_,contract) \
  $(addprefix tests/infer/run/test_,choice packed population) \
  $(addprefix tests/infer/output/test_,arviz predict trees uniformity))
test-quick: $(STAMP)
	$(PYTEST) -m "not slow" $(QUICK)

# The front end for PyMC, in an environment of its own: PyMC is no part of `make test`.
test-pymc:
	$(MAKE) VENV=.venv-pymc EXTRAS=dev,bambi .test-pymc
.PHONY: test-pymc .test-pymc
.test-pymc: $(STAMP)
	$(PYTEST) tests/infer/models/pymc tests/test_docs.py -k pymc

# The front end for Stan, likewise.
test-stan:
	$(MAKE) VENV=.venv-stan EXTRAS=dev,stan .test-stan
.PHONY: test-stan .test-stan
.test-stan: $(STAMP)
	$(PYTEST) tests/infer/models/stan tests/test_docs.py -k stan

# The site: built, its links followed, and opened in Chromium or Chrome where one is installed.
test-site:
	$(MAKE) VENV=.venv-site EXTRAS=dev,docs .test-site
.PHONY: test-site .test-site
.test-site: $(STAMP)
	$(PYTEST) tests/test_site.py tests/test_site_built.py

# The tests with the oldest versions that pyproject.toml allows. Needs a Python as old, such as 3.11.
OLDEST := .venv-oldest
test-oldest: $(OLDEST).txt
	$(MAKE) VENV=$(OLDEST) PIN=$< test

$(OLDEST).txt: pyproject.toml
	$(PYTHON) -c 'import tomllib; \
	  project = tomllib.load(open("$<", "rb"))["project"]; \
	  print(*(bound.replace(">=", "==") for bound in project["dependencies"]), sep="\n")' > $@

# Build sdist and wheel, install the wheel in an environment of its own, and use it from an empty folder.
package:
	set -e; folder=$$(mktemp -d); \
	$(PYTHON) -m venv $$folder/tools; \
	$$folder/tools/bin/python -m pip install --quiet build; \
	$$folder/tools/bin/python -m build --outdir $$folder/dist .; \
	$(PYTHON) -m venv $$folder/installed; \
	$$folder/installed/bin/python -m pip install --quiet $$folder/dist/*.whl; \
	mkdir $$folder/empty; \
	sed -n '/^## Ten lines/,/^prints/p' README.md | sed '1,/^```python/d;/^```/,$$d' > $$folder/empty/ten_lines.py; \
	cd $$folder/empty; \
	../installed/bin/python -m infer; \
	../installed/bin/python ten_lines.py; \
	rm -rf $$folder

# Find versions for every extra on every Python that pyproject.toml names; nothing is installed.
extras:
	set -e; folder=$$(mktemp -d); \
	$(PYTHON) -m venv $$folder; \
	$$folder/bin/python -m pip install --quiet uv; \
	$$folder/bin/python -m tests.extras; \
	rm -rf $$folder

# Random models against plain JAX; FUZZ="--first 40 --last 80" checks a part of them.
FUZZ ?=
fuzz: $(STAMP)
	JAX_PLATFORMS=cpu $(BIN)/python -m tests.fuzz $(FUZZ)

# Kill, interrupt and damage stored runs: FAULTS="--kills 8 --interrupts 4 --flips 1" does a few.
FAULTS ?=
faults: $(STAMP)
	JAX_COMPILATION_CACHE_DIR=.pytest_cache/jax $(BIN)/python -m tests.faults $(FAULTS)

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/codespell
	$(BIN)/python benchmarks/house.py
	$(BIN)/pyright --pythonpath $(BIN)/python

docs:
	$(MAKE) EXTRAS=docs .docs
.PHONY: .docs
.docs: $(STAMP)
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

bench:
	$(MAKE) EXTRAS=bench .bench
.PHONY: .bench
.bench: $(STAMP)
	$(BIN)/python benchmarks/cold_start.py

$(STAMP): pyproject.toml
	@if command -v uv >/dev/null 2>&1; then \
	  test -d $(VENV) || uv venv --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python -c $(PIN) -e ".[$(EXTRAS)]"; \
	else \
	  test -d $(VENV) || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check -c $(PIN) -e ".[$(EXTRAS)]"; \
	fi
	@touch $@

clean:
	rm -rf $(VENV) .venv-pymc .venv-stan .venv-site $(OLDEST) $(OLDEST).txt docs/_build docs/findings docs/gallery .pytest_cache .ruff_cache
