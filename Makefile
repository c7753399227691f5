# Everything a developer or a curious visitor needs. `make` alone lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
CONSTRAINTS := $(wildcard .ci/constraints-$(PYVER).txt)
RESULTS := demo-results
E2E := $(BIN)/pytest tests/e2e --numprocesses=2 --dist=loadgroup --no-loadscope-reorder

# Debian packages by what needs them. The lab and the tests of a real engine are of no use without them.
LAB_PACKAGES := qemu-system-x86 qemu-utils mmdebstrap e2fsprogs libarchive13t64 openssh-client
TEST_PACKAGES := $(LAB_PACKAGES) docker.io docker-cli openssh-server busybox-static acl iptables sudo chromium systemd \
    docker-registry notary cosign openscap-scanner
PYTHON_PACKAGES := python3-venv

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: lab-packages $(VENV)/.installed ## boot a throw-away Docker host, audit it, harden it, audit it again
	@BIN=$(BIN) RESULTS=$(RESULTS) .ci/demo

.PHONY: test
test: unit integration ## unit, integration and end-to-end tests (root)
	@$(MAKE) --no-print-directory e2e # after the others, whatever --jobs says: its machines take every core

.PHONY: unit
unit: $(VENV)/.installed ## the unit tests
	$(BIN)/pytest tests/unit

.PHONY: unit-other-python
unit-other-python: ## the unit tests on Debian's own Python too, where it is another
	@if [ -x /usr/bin/python3 ] && [ "$$(/usr/bin/python3 -V)" != "$$($(PYTHON) -V)" ]; then \
	    $(MAKE) --no-print-directory unit PYTHON=/usr/bin/python3 VENV=.venv-debian; fi

.PHONY: integration
integration: test-packages $(VENV)/.installed ## the tests against a private dockerd and sshd (root)
	$(BIN)/pytest tests/integration

.PHONY: e2e
e2e: test-packages $(VENV)/.installed ## the tests on throw-away virtual machines (root)
	$(E2E) -m "not long"

.PHONY: lab-images
lab-images: test-packages $(VENV)/.installed ## build what the machines of e2e start from, where it is not cached
	$(BIN)/python -c 'from hardener import lab; [lab.build(lab.release_named(r), say=print) for r in ("13", "13-bare", "12")]'

.PHONY: test-long
test-long: test-packages $(VENV)/.installed ## the end-to-end tests that `make test` leaves out: more releases, more reboots
	$(E2E) -m long

.PHONY: molecule
molecule: test-packages $(VENV)/.installed ## the Molecule scenario of every protection, or SCENARIOS="NAME ...", on virtual machines
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/molecule test $(if $(SCENARIOS),$(SCENARIOS:%=--scenario-name=%),--all)

.PHONY: lint
lint: $(VENV)/.installed ## ruff, mypy strict, yamllint, ansible-lint (production profile)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/yamllint --strict .
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/ansible-lint --offline

.PHONY: format
format: $(VENV)/.installed ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: check-readme
check-readme: $(VENV)/.installed ## the README shows what --help says, and nothing older
	$(BIN)/python .ci/check_readme.py README.md

.PHONY: update-readme
update-readme: $(VENV)/.installed ## write the present --help into the README
	$(BIN)/python .ci/check_readme.py --write README.md

.PHONY: docs
docs: $(VENV)/.installed ## write docs/controls from the catalogue
	$(BIN)/python docs/generate_controls.py

.PHONY: package
package: $(VENV)/.installed ## build the wheel and the source archive into dist/
	$(BIN)/python -m build

.PHONY: lock
lock: ## write the versions of a fresh environment to .ci/constraints-X.Y.txt
	rm -rf .venv-lock
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --upgrade -e '.[dev]'
	.venv-lock/bin/pip freeze --exclude-editable > .ci/constraints-$(PYVER).txt
	rm -rf .venv-lock

.PHONY: clean
clean: ## remove what was built here (not the cached lab images)
	rm -rf .venv .venv-debian .venv-lock dist build $(RESULTS) test-results .pytest_cache .mypy_cache .ruff_cache

.PHONY: lab-packages test-packages
lab-packages: ; @.ci/install-packages $(PYTHON_PACKAGES) $(LAB_PACKAGES)
test-packages: ; @.ci/install-packages $(PYTHON_PACKAGES) $(TEST_PACKAGES)

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@.ci/install-packages $(PYTHON_PACKAGES)
	@echo "Python environment: $(VENV)/ ($(PYTHON), $(PYVER))" >&2
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check $(addprefix -c ,$(CONSTRAINTS)) -e '.[dev]'
	@touch $@
