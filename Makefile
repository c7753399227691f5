# Everything a developer or a curious visitor needs. `make` alone lists the targets; docs/testing.md explains the tests.

# Debian's own where there is one: `pipx install .` takes it too.
PYTHON ?= $(or $(wildcard /usr/bin/python3),python3)
OLDEST_PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PYVER := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])')
EXTRA := dev
CONSTRAINTS := $(wildcard .ci/constraints-$(PYVER).txt)
LOCKED_READERS := $(wildcard .ci/readers-$(PYVER).txt)
READERS := $(or $(LOCKED_READERS),.ci/readers.in)
RESULTS := demo-results
PYTEST = $(BIN)/pytest --junitxml=test-results/$@$(VENV:.venv%=%).xml
MEMORY := $(shell .ci/memory-folder)
PIP = $(BIN)/pip install --quiet --disable-pip-version-check
SITE = NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict --site-dir
DOCS_URL ?=
TOGETHER = $(PYTHON) tools/together.py
# Build what guests start from, where it is not cached, and say so: pytest would keep it to itself. It needs no
# package of the environment, which is installed meanwhile.
BUILT = $(PYTHON) -c 'from hardener import lab; lab.build(lab.release_named("$(1)"), report=print)'
# Environments with other packages than the newest: the lowest versions that pyproject.toml allows, and a former Ansible.
LOWEST := PYTHON=$(OLDEST_PYTHON) VENV=.venv-lowest EXTRA=test CONSTRAINTS=.ci/constraints-lowest.txt
ANSIBLE_2_20 := VENV=.venv-2.20 EXTRA=test CONSTRAINTS=.ci/constraints-ansible-2.20.txt
# Debian packages by what needs them. The lab and the tests of a real engine are of no use without them.
LAB_PACKAGES := qemu-system-x86 qemu-utils mmdebstrap e2fsprogs libarchive13t64 openssh-client curl
TEST_PACKAGES := $(LAB_PACKAGES) docker.io docker-cli openssh-server busybox-static acl iptables nftables sudo chromium systemd \
    docker-registry notary cosign openscap-scanner slirp4netns perl-base bpftool docker-compose apparmor \
    mandoc unattended-upgrades
# For tests that make test leaves out.
SLOW_PACKAGES := crun
# What the Debian package is built with, and checked.
DEBIAN_PACKAGES := lintian $(shell sed -n 's/debhelper-compat/debhelper/; s/dh-sequence-python3/dh-python/; \
    /^Build-Depends/,/^Standards/s/^ \([a-z0-9.-]*\).*/\1/p' debian/control)
# The clients of real programs, and what the programs from source are built with.
WORKLOAD_PACKAGES := bind9-dnsutils gcc golang-go libc6-dev postgresql-client redis-tools
BPF_PACKAGES := clang-19 libbpf-dev bpftool
MESH_PACKAGES := receptor openssl
READER_PACKAGES := prometheus nodejs npm
PYTHON_PACKAGES := python3-venv

.PHONY: help
help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: lab-packages ## harden a small shop on a throw-away Docker host, take back a lock-out, prove a profile
	@$(TOGETHER) image="$(MAKE) --no-print-directory lab-image" environment="$(MAKE) --no-print-directory environment"
	@BIN=$(BIN) RESULTS=$(RESULTS) tools/demo/demo

.PHONY: test
test: test-packages ## unit and integration tests, and the product's promise on real guests (root)
	@$(TOGETHER) guests="$(MAKE) promise" here="$(MAKE) environment unit integration"

.PHONY: test-all
test-all: test fleet fleet-others small-parts integration-slow system faults oracles workloads lives e2e-1 e2e-2 releases molecule-all ## everything, one part after the other (root)

.PHONY: unit
unit: $(VENV)/.installed ## the unit tests
	$(if $(MEMORY),PYTEST_DEBUG_TEMPROOT=$(MEMORY)) $(PYTEST) tests/unit $(UNIT_OPTIONS) -o tmp_path_retention_policy=failed

# What runs on hosts imports the standard library alone (tests/unit/walls): no version of a package changes it.
.PHONY: unit-lowest
unit-lowest: ## the unit tests with Python 3.11 and the lowest versions allowed, but for programs that run on hosts
	$(MAKE) --no-print-directory unit $(LOWEST) UNIT_OPTIONS=--ignore=tests/unit/plugins/module_utils

.PHONY: integration
integration: test-packages $(VENV)/.installed ## the tests against a private dockerd and sshd (root)
	$(PYTEST) tests/integration tests/oracles -m "not slow" --numprocesses=3 --verbose

.PHONY: integration-slow
integration-slow: test-packages $(VENV)/.installed ## the integration tests that `make test` leaves out (root)
	@.ci/install-packages $(SLOW_PACKAGES)
	$(PYTEST) tests/integration -m slow --numprocesses=2 --verbose

.PHONY: promise promise-loop promise-host
promise: test-packages ## the product's promise, on a virtual machine and hosts in namespaces (root)
	$(call BUILT,13)
	@$(MAKE) --no-print-directory environment
	@$(TOGETHER) loop="$(MAKE) promise-loop" host="$(MAKE) promise-host"
# Two chains by hand: pytest-xdist gives a worker its next module before the one at hand ends.
promise-loop:
	$(PYTEST) tests/promise/test_loop.py --verbose --exitfirst
promise-host:
	$(PYTEST) tests/promise/test_drift.py tests/promise/test_provision.py tests/life --verbose

.PHONY: fleet fleet-lowest fleet-others
fleet: test-packages ## six hosts that differ: together each gets what it gets alone (root)
	$(call BUILT,13)
	@$(MAKE) --no-print-directory environment
	$(PYTEST) tests/promise/test_fleet.py -m "$(or $(FLEET_MARK),not slow)" --verbose
fleet-lowest: ## the same with Python 3.11 and the lowest versions allowed (root)
	$(MAKE) --no-print-directory fleet $(LOWEST)
fleet-others: fleet-lowest ## that, the same with ansible-core 2.20, and what `make fleet` leaves out (root)
	$(MAKE) --no-print-directory fleet $(ANSIBLE_2_20)
	$(MAKE) --no-print-directory fleet FLEET_MARK=slow

.PHONY: lives
lives: test-packages $(VENV)/.installed ## generated lives of two hosts for 20 minutes, from the life LIFE=1 on (root)
	$(call BUILT,13)
	$(PYTEST) tests/life -k generated --minutes=$(or $(MINUTES),20) --life=$(or $(LIFE),1) --capture=no

.PHONY: readers
readers: test-packages $(VENV)/.installed .venv-readers/.installed ## the tests of programs that read our files: Prometheus, a browser with axe, linters of contrib/, pandas and others
	@.ci/install-packages $(READER_PACKAGES)
	$(PYTEST) tests/readers --verbose

.venv-readers/.installed: $(READERS) tests/readers/package.json
	@.ci/install-packages $(PYTHON_PACKAGES) $(READER_PACKAGES)
	@echo "Programs that read our files: .venv-readers/ ($(PYTHON))" >&2
	@$(PYTHON) -m venv .venv-readers
	@.venv-readers/bin/pip install --quiet --disable-pip-version-check --only-binary :all: $(if $(LOCKED_READERS),--require-hashes --no-deps) -r $(READERS)
	@cp tests/readers/package.json .venv-readers/
	@npm install --prefix .venv-readers --silent --no-audit --no-fund --ignore-scripts
	@touch $@

# The mesh mostly waits. Packages come first: two installations cannot run at the same time.
.PHONY: small-parts
small-parts: test-packages $(VENV)/.installed ## mesh, and sanity and readers beside it (root)
	@.ci/install-packages $(MESH_PACKAGES) $(READER_PACKAGES)
	@$(TOGETHER) mesh="$(MAKE) mesh" readers="$(MAKE) sanity readers"

.PHONY: system
system: test-packages $(VENV)/.installed ## the tests on Debian hosts in namespaces: systemd, Docker, this kernel (root)
	@.ci/install-packages $(DEBIAN_PACKAGES)
	$(PYTEST) tests/system --numprocesses=4 --verbose

.PHONY: faults
faults: test-packages $(VENV)/.installed ## a fault at every call of the transaction that changes something (root)
	$(PYTEST) tests/faults --numprocesses=4 --verbose

.PHONY: mesh
mesh: test-packages $(VENV)/.installed ## a fleet on the nodes of a Receptor mesh that are killed and cut off (root)
	@.ci/install-packages $(MESH_PACKAGES)
	$(PYTEST) tests/mesh --verbose

.PHONY: oracles
oracles: test-packages $(VENV)/.installed ## thousands of generated cases whose verdicts are compared with what happens (root)
	$(PYTEST) tests/oracles --all-cases --numprocesses=2 --verbose

.PHONY: mutants
mutants: test-packages $(VENV)/.installed ## whether the oracles find each condition of the judges that is inverted (root, 20 minutes)
	$(BIN)/python -m tests.oracles.mutants record test-results/mutants
	$(BIN)/python -m tests.oracles.mutants run test-results/mutants

.PHONY: workloads
workloads: test-packages $(VENV)/.installed ## real programs from their containers to proven profiles, and attacks on them (root)
	@.ci/install-packages $(WORKLOAD_PACKAGES) $(BPF_PACKAGES) $(SLOW_PACKAGES)
	$(PYTEST) tests/workloads --numprocesses=2 --verbose

# What the second part tests is all that the first does not name.
E2E_1 := $(addprefix tests/e2e/test_,$(addsuffix .py,activity audit_oracle audit_stand_in checks_host kernel_roles limits sysctl_stand_in))
.PHONY: e2e-1 e2e-2
e2e-1: test-packages $(VENV)/.installed ## the tests of kernel audit, AppArmor and kernel settings, on virtual machines (root)
	$(PYTEST) $(E2E_1) --numprocesses=2 --verbose
e2e-2: test-packages $(VENV)/.installed ## the other tests that need a kernel of their own, on virtual machines (root)
	$(PYTEST) tests/e2e $(E2E_1:%=--ignore=%) --numprocesses=2 --verbose

.PHONY: releases
releases: test-packages $(VENV)/.installed ## the tests of the lab and of other Debian releases, on virtual machines (root)
	$(PYTEST) tests/releases --numprocesses=2 --verbose

.PHONY: molecule
molecule: test-packages $(VENV)/.installed ## the Molecule scenario of every protection, or SCENARIOS="NAME ..." (root)
	exec env HARDENER_KEPT_FOR=$$$$ PATH="$(abspath $(BIN)):$$PATH" $(BIN)/molecule test $(if $(SCENARIOS),$(SCENARIOS:%=--scenario-name=%),--all)

# Two at a time, in chains of about the same length: one on virtual machines, the other on hosts in namespaces,
# with the shortest scenario of the virtual machines.
ON_GUESTS := $(filter-out selinux,$(notdir $(patsubst %/,%,$(dir $(shell grep -l 'kernel: true' molecule/*/molecule.yml)))))
ON_HOSTS := $(filter-out $(ON_GUESTS) shared,$(notdir $(wildcard molecule/*)))
.PHONY: molecule-all
molecule-all: test-packages $(VENV)/.installed ## the Molecule scenario of every protection, two at a time (root)
	@$(TOGETHER) guests="$(MAKE) molecule SCENARIOS='$(ON_GUESTS)'" hosts="$(MAKE) molecule SCENARIOS='$(ON_HOSTS)'"

.PHONY: sanity
sanity: $(VENV)/.installed ## ansible-test sanity of the collection
	$(BIN)/python -m tools.sanity

.PHONY: collector
collector: ## the collector as one file, for hosts without Ansible: dist/host_snapshot.pyz
	@PYTHONPATH=.collections $(PYTHON) -m tools.collector dist/host_snapshot.pyz

.PHONY: coverage
coverage: test-packages $(VENV)/.installed ## branch coverage of the unit and integration tests, what runs on hosts included (root)
	@.ci/install-packages $(SLOW_PACKAGES)
	$(BIN)/coverage erase
	$(BIN)/coverage run --module pytest tests/unit
	$(BIN)/coverage run --module pytest tests/integration
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: durations
durations: $(VENV)/.installed ## take how long the tests of shared modules took from the last runs into tests/durations.json
	$(BIN)/python tools/durations.py $(wildcard $(addprefix test-results/,$(addsuffix .xml,integration integration-slow system faults workloads e2e-1 e2e-2 releases)))

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

.PHONY: check-docs
check-docs: $(VENV)/.installed ## commands, links and generated pages of the README and the documentation
	$(BIN)/python -m tools.check_docs
	$(SITE) build/site
	$(BIN)/python -m tools.check_site build/site

.PHONY: docs
docs: $(VENV)/.installed ## write generated pages: commands, controls, roles, the snapshot
	$(BIN)/python -m tools.docs

.PHONY: docs-site
docs-site: $(VENV)/.installed ## build the documentation site into build/site
	$(SITE) build/site

.PHONY: bpf
bpf: ## build the BPF objects of the recorder, which are kept in the tree (clang-19, libbpf-dev, bpftool)
	@.ci/install-packages $(BPF_PACKAGES)
	$(MAKE) --no-print-directory -C plugins/module_utils/record/bpf

.PHONY: package
package: $(VENV)/.installed ## build the files of a release into dist/ (DOCS_URL=address of the site)
	@.ci/install-packages $(DEBIAN_PACKAGES)
	HARDENER_DOCS_URL='$(DOCS_URL)' $(BIN)/python -m tools.package dist

.PHONY: release
release: $(VENV)/.installed ## build and sign the files of a release from its signed tag (KEY=file of the ssh key, DOCS_URL=…)
	@.ci/install-packages $(DEBIAN_PACKAGES)
	HARDENER_DOCS_URL='$(DOCS_URL)' $(BIN)/python -m tools.release dist '$(KEY)'

.PHONY: lock lock-former lock-lowest lock-readers
lock: ## write the versions of a fresh environment, with the hashes of their files, to .ci/constraints-X.Y.txt
	$(call freeze,.[dev],,.ci/constraints-$(PYVER).txt)

lock-former: ## write the same with ansible-core 2.20 to .ci/constraints-ansible-2.20.txt
	echo 'ansible-core==2.20.*' >.ci/former.txt
	$(call freeze,.[test],.ci/former.txt,.ci/constraints-ansible-2.20.txt)
	rm .ci/former.txt

lock-lowest: PYTHON = $(OLDEST_PYTHON)
lock-lowest: ## write the lowest versions that pyproject.toml allows to .ci/constraints-lowest.txt, with what they need
	$(PYTHON) tools/lowest_versions.py pyproject.toml >.ci/lowest.txt
	$(call freeze,.[test],.ci/lowest.txt,.ci/constraints-lowest.txt)
	rm .ci/lowest.txt

lock-readers: ## write the programs of .ci/readers.in, with what they need and hashes, to .ci/readers-X.Y.txt
	$(call freeze,--requirement=.ci/readers.in,,.ci/readers-$(PYVER).txt)

# What pip installs into a fresh environment: requirement, constraints, file.
define freeze
rm -rf .venv-lock
$(PYTHON) -m venv .venv-lock
mkdir .venv-lock/tmp
TMPDIR='$(CURDIR)/.venv-lock/tmp' .venv-lock/bin/python tools/lock.py '$(1)' $(2) >.venv-lock/locked.txt
mv .venv-lock/locked.txt $(3)
rm -rf .venv-lock
endef

.PHONY: clean
clean: ## remove what was built here (not the cached lab images)
	rm -rf .venv .venv-2.20 .venv-lowest .venv-lock .venv-readers dist build $(RESULTS) test-results .pytest_cache .mypy_cache .ruff_cache

.PHONY: lab-packages test-packages lab-image
lab-packages: ; @.ci/install-packages $(PYTHON_PACKAGES) $(LAB_PACKAGES)
test-packages: ; @.ci/install-packages $(PYTHON_PACKAGES) $(TEST_PACKAGES)
lab-image: ; @$(call BUILT,13)

# For rules that run at the same time: one installs, the others wait.
.PHONY: environment
environment: ; @flock pyproject.toml $(MAKE) --no-print-directory $(VENV)/.installed
$(VENV)/.installed: pyproject.toml $(CONSTRAINTS)
	@.ci/install-packages $(PYTHON_PACKAGES)
	@echo "Python environment: $(VENV)/ ($(PYTHON), $(PYVER))" >&2
	@$(BIN)/python -V 2>/dev/null | grep -q ' $(PYVER)[.]' || $(PYTHON) -m venv --clear $(VENV)
	@$(if $(CONSTRAINTS),$(PIP) --require-hashes --no-deps --only-binary :all: -r $(CONSTRAINTS))
# What is locked is all there is to take: what pyproject.toml asks for beside it fails here.
	@$(PIP) $(if $(CONSTRAINTS),--no-index --no-build-isolation) -e '.[$(EXTRA)]'
	@touch $@
