# make demo, make test: each from a fresh clone. Everything goes into .venv; as root, make test also installs what the
# tests with card readers and with a real kernel need from the distribution.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Card readers, the guest with a kernel that has USB, what the tests compare with there, encrypted disks, log-ins over
# SSH, a keyring, and what reads the units of a timer.
PACKAGES := pcscd vsmartcard-vpcd libpcsclite-dev swig gcc pkg-config python3-dev groff-base \
  qemu-system-x86 fido2-tools openssh-client openssh-server git pamu2fcfg cryptsetup-bin \
  gnome-keyring dbus-daemon systemd

GUEST_CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/keyctl-guest

.PHONY: demo test check generate bench clean packages

demo: $(VENV)/installed
	@$(BIN)/keyctl demo

# Prints what it runs and what came out. Where CI=true, a skipped test is a failure, and fuzzing takes a minute.
test: packages $(VENV)/developing
	KEYCTL_FUZZ_SECONDS=$(if $(CI),15,2) $(BIN)/python -m pytest -q -n auto --dist loadgroup
	@$(MAKE) --no-print-directory check

check: $(VENV)/developing
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python man/generate.py --check

# Manual pages, completions and the help blocks of the README.
generate: $(VENV)/developing
	$(BIN)/python man/generate.py

bench: $(VENV)/developing
	$(BIN)/python -m pip install -q --group bench
	$(BIN)/python tests/bench/bench.py --json bench.json

clean:
	rm -rf $(VENV) build dist bench.json .mypy_cache .ruff_cache .pytest_cache .hypothesis

# The package lists are fetched also for the guest's kernel, which is downloaded but never installed.
packages:
	@missing=; for package in $(PACKAGES); do \
	  dpkg -s $$package >/dev/null 2>&1 || missing="$$missing $$package"; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  if [ -n "$$missing" ] || ! [ -d $(GUEST_CACHE) ]; then apt-get update -q; fi; \
	  if [ -n "$$missing" ]; then \
	    DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $$missing; fi; \
	elif [ -n "$$missing" ]; then \
	  echo "tests that need them are skipped; for all: apt-get install --no-install-recommends$$missing"; \
	fi

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	@echo "installing into $(VENV)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

# pip before 25.1 does not know dependency groups. The readers' library has to be compiled on Linux.
$(VENV)/developing: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q --group dev -e .
	if pkg-config --exists libpcsclite 2>/dev/null && command -v swig >/dev/null; then \
	  $(BIN)/python -m pip install -q -e ".[nfc]"; fi
	touch $@
