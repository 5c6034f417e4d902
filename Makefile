# Everything starts here: `make demo` to see it, `make test` to check it. Both make their own virtual environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Containers often forbid it; then each of the hundreds of processes of a test run compiles every module anew.
export PYTHONDONTWRITEBYTECODE :=
PYTEST_WORKERS ?= $(shell nproc 2>/dev/null || echo 2)

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-long matrix check bench services lock messages clean

help:
	@echo "make demo       the server, a third-party app and an API on this machine, until Ctrl-C"
	@echo "make test       every test that this machine can run, naming what it cannot"
	@echo "make services   PostgreSQL, Redis, Chromium, nginx for the tests (root, Debian)"
	@echo "make test-long  the full counts of races, and the soak"
	@echo "make matrix     every test, and then which of them shows which sentence of which specification"
	@echo "make check      ruff, mypy, import contracts, template lint"
	@echo "make bench      the benchmarks, as ratios measured in one run"
	@echo "make venv       .venv/bin/tokenhouse"
	@echo "make messages   the catalogs of the pages' languages, brought up to date with the sentences in the source"
	@echo "make lock       the lock files under requirements/, anew"

venv: $(VENV)/.runtime

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Tokenhouse needs Python 3.11 or newer")'
	@if ! $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq python3-venv; \
		else \
			echo "This Python cannot make a virtual environment: run \`apt-get install python3-venv\` as root." >&2; exit 1; \
		fi; \
	fi
	$(PYTHON) -m venv $(VENV)

# uv installs the same files by the same hashes in a tenth of the time; where it reaches no index, pip may know a way.
export UV_PYTHON_DOWNLOADS := never
define install
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(1) 2>/dev/null \
		|| $(BIN)/python -m pip install --quiet --disable-pip-version-check $(1)
endef

$(VENV)/.runtime: $(VENV)/bin/python requirements/runtime.txt requirements/build.txt pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/build.txt
	$(call install,--require-hashes -r requirements/runtime.txt)
	$(call install,--no-deps --no-build-isolation --editable .)
	@touch $@

$(VENV)/.development: $(VENV)/.runtime requirements/development.txt
	$(call install,--require-hashes -r requirements/development.txt)
	@touch $@

demo: $(VENV)/.runtime
	$(BIN)/tokenhouse demo

test: $(VENV)/.development
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "not long" -rs

test-long: $(VENV)/.development
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -rs

matrix: $(VENV)/.development
	$(BIN)/python -m pytest -n $(PYTEST_WORKERS) --dist worksteal -m "not long" -q --requirements

check: $(VENV)/.development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/djlint --lint --quiet app/web/templates

bench: $(VENV)/.development
	@for program in why_tokens verification authorization_server token_endpoint tables start_and_memory key_drill \
		revocation client_assertions userinfo logout_deliveries login_timing parallel_logins; do \
		echo; echo "== $$program"; $(BIN)/python benchmarks/$$program.py || exit 1; \
	done

services:
	apt-get update -qq
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		postgresql redis-server chromium nginx-light fonts-dejavu-core >/dev/null
	@# A fresh container has no init system: the clusters are started by hand where nothing has started them.
	@pg_lsclusters --no-header | while read -r version name _ status _; do \
		case "$$status" in online*) ;; *) pg_ctlcluster "$$version" "$$name" start ;; esac; \
	done
	@redis-cli ping >/dev/null 2>&1 || redis-server --daemonize yes --save '' --appendonly no --bind 127.0.0.1 >/dev/null
	@pg_lsclusters

lock: $(VENV)/.development
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header pyproject.toml --extra redis -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header --group build -o requirements/build.txt
	$(BIN)/uv pip compile --quiet --python-version 3.11 --universal --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-header pyproject.toml --extra redis --group dev --group build \
		-c requirements/runtime.txt -c requirements/build.txt -o requirements/development.txt

messages: $(VENV)/.development
	$(BIN)/pybabel -q extract -F pyproject.toml -k mark --omit-header --add-location=file -o .messages.pot .
	$(BIN)/pybabel -q update -i .messages.pot -d app/web/locales -D tokenhouse \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 118
	@sed -i -E '/^"(Project-Id-Version|Report-Msgid-Bugs-To|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Generated-By): /d' \
		app/web/locales/*/LC_MESSAGES/tokenhouse.po
	@rm -f .messages.pot

clean:
	rm -rf $(VENV) .demo .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
