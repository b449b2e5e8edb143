# Two commands are enough: `make demo` shows tempadmin at work, `make test` runs its tests.
#
# Nothing is installed outside $(VENV), and nothing twice: a file in $(VENV)/.stamps stands for each step done.

PYTHON      ?= python3
UV          ?= uv
VENV        ?= .venv
DATA        ?= demo-data
DEMO_ARGS   ?=
SECONDS     ?= 60
SEED        ?=
WRITE       ?=
# Four processes, on two cores too: many tests wait, for a killed server to heal or a browser to paint.
# The order is ours (tests/conftest.py): xdist's own would begin the files with the most tests first, not the longest.
PYTEST_ARGS ?= -n 4 --dist loadfile --no-loadscope-reorder

BIN     := $(VENV)/bin
STAMPS  := $(VENV)/.stamps
PIP     := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := $(shell find tempadmin instances tickets scheduler templates -type f ! -name '*.pyc')
PINS    := $(UV) pip compile pyproject.toml --no-config --quiet --universal --python-version 3.11 \
           --extra postgresql --extra redis --extra scim --generate-hashes --no-emit-index-url --no-emit-find-links --no-annotate \
           --custom-compile-command 'make constraints' $(UPGRADE)

.PHONY: demo test check lint guards bench growth chaos products clean constraints
.NOTPARALLEL:
.DELETE_ON_ERROR:

demo: $(STAMPS)/package
	@exec $(BIN)/tempadmin demo --data $(DATA) $(DEMO_ARGS)

# Compiled modules are kept, whatever the environment says: a fifth of the time of each program that a test starts.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMPS)/dev $(STAMPS)/ldap $(STAMPS)/package
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The tests come last, so that their summary is the last line that one reads.
check: lint test

lint: $(STAMPS)/dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

# Takes each guard out in a scratch copy and fails where its test stays green.
guards: $(STAMPS)/dev
	$(BIN)/python -m tests.guards

# Medians of one run on this machine; asserts nothing. `make bench WRITE=--write` puts them into docs/performance.md.
bench: $(STAMPS)/dev
	$(BIN)/python -m tests.bench.bench $(WRITE)

# What everything costs with up to a million instances, past requests and rows of the record; fails when a page grows slow.
# Ten minutes. `make growth WRITE=--write` puts tables and pictures into docs/performance.md.
growth: $(STAMPS)/dev
	$(BIN)/python -m tests.bench.growth $(WRITE)

# People at work while servers, schedulers and the database are killed, stopped and cut off; fails when a promise breaks.
# `make chaos SECONDS=600`; a seed that was printed is played again by SEED=….
chaos: $(STAMPS)/dev
	$(BIN)/python -m tests.chaos.run --seconds $(SECONDS) --seed '$(SEED)'

# Real products as the products of an instance: JupyterHub and openid-client (OpenID Connect), Canaille (SCIM), each in an
# environment of its own in $(VENV)/products, none of them among the pins; wants Node and npm besides.
products: export PRODUCTS ?= $(abspath $(VENV))/products
products: $(STAMPS)/dev
	test -d $(PRODUCTS)/jupyterhub || $(PYTHON) -m venv $(PRODUCTS)/jupyterhub
	$(PRODUCTS)/jupyterhub/bin/python -m pip --quiet install jupyterhub==6.1.1 oauthenticator==17.4.0
	test -d $(PRODUCTS)/canaille || $(PYTHON) -m venv $(PRODUCTS)/canaille
	$(PRODUCTS)/canaille/bin/python -m pip --quiet install \
		'Canaille[front,oidc,scim,server,sqlite]==0.3.6' 'scim2-models==0.10.0'
	npm install --silent --no-audit --no-fund --prefix $(PRODUCTS) configurable-http-proxy@5.3.0 openid-client@6.8.9
	$(BIN)/python -m pytest -m products -s tests/products

clean:
	rm -rf $(VENV) dist build artefacts .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Writes the files of pins anew, with the hashes of every platform's files, and no address in them; needs uv.
# `make constraints UPGRADE=--upgrade` moves each pin to its newest release that fits.
constraints:
	$(PINS) --group build --output-file constraints.txt
	$(PINS) --extra ldap --constraint constraints.txt --output-file constraints-ldap.txt
	$(PINS) --group dev --constraint constraints.txt --output-file constraints-dev.txt

$(STAMPS)/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tempadmin needs Python 3.11 or newer: make PYTHON=…")'
	@echo 'Making the virtual environment $(VENV)'
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/runtime: constraints.txt $(STAMPS)/venv
	@echo 'Installing what $< pins'
	@$(PIP) install --require-hashes -r $<
	@touch $@

$(STAMPS)/dev: constraints-dev.txt $(STAMPS)/runtime
	@echo 'Installing what $< pins'
	@$(PIP) install --require-hashes -r $<
	@touch $@

# Built from source against the system's library: without that its tests are skipped (they fail where CI=true), and the
# next `make test` tries again.
$(STAMPS)/ldap: constraints-ldap.txt $(STAMPS)/runtime
	@echo 'Installing what $< pins'
	@if $(PIP) install --require-hashes -r $<; then touch $@; elif test "$$CI" = true; then exit 1; \
	else echo 'No LDAP here: it wants gcc, libldap-dev, libsasl2-dev and python3-dev'; fi

# The build backend is one of the pins, so nothing else is fetched to build.
$(STAMPS)/package: pyproject.toml README.md LICENSE $(SOURCES) $(STAMPS)/runtime
	@echo 'Installing tempadmin'
	@$(PIP) install --no-deps --no-build-isolation .
	@touch $@
