# `make` alone says what there is. Every tool runs from .venv, at the versions of requirements.txt.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
PLAYBOOK := $(BIN)/ansible-playbook
REPORTS := artifacts/tests
SHELL_SCRIPTS := .ci/run tools/make_venv images/rabbitmq/docker-entrypoint.sh templates/telemetry/monitoring/debug_cpu_spike.sh
# Tools find each other, and Ansible the collections, through PATH. Nothing may wait for an answer from a terminal.
export PATH := $(CURDIR)/$(BIN):$(PATH)
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg
# Tests leave no bytecode in folders whose content is hashed.
export PYTHONDONTWRITEBYTECODE := 1
# Deploys read the project's plugins at every run: compiled once.
deploy verify bench: export PYTHONDONTWRITEBYTECODE :=
# Its frames break the lines of what runs inside.
export MOLECULE_COMMAND_BORDERS := false
# Certificates of a TLS-intercepting proxy, for image builds; the inventories default to those of this machine.
ifdef CA_BUNDLE
export CA_BUNDLE
endif

.PHONY: help
help: ## This list
	@echo "make <target> [ARGS='more arguments of ansible-playbook'] [CA_BUNDLE=/path/of/proxy-ca.crt]"
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1|/' | while IFS='|' read -r target text; do \
	  printf '  %-10s %s\n' "$$target" "$$text"; done

.PHONY: deploy
deploy: venv root ## Deploy the demo on this machine and verify its metrics (ARGS='-i inventories/production' for a server)
	@$(PLAYBOOK) deploy.yml $(ARGS)

.PHONY: verify
verify: venv root ## Ask every source again; changes nothing
	@$(PLAYBOOK) playbooks/verify.yml $(ARGS)

.PHONY: test
test: venv root ## Everything: lint, unit tests, rendered files, a deploy to a fresh server, and faults on it
	@rm -rf $(REPORTS) && mkdir -p $(REPORTS)
	@$(MAKE) machine images
	@# Side by side, because the server mostly waits; the words of one do not stand between those of the other.
	@$(MAKE) serverless >$(REPORTS)/serverless.log 2>&1 & serverless=$$!; \
	status=0; $(MAKE) molecule || status=$$?; \
	wait $$serverless || status=$$?; \
	cat $(REPORTS)/serverless.log; \
	exit $$status
	@tools/test_summary.py $(REPORTS)

.PHONY: serverless
serverless: lint unit render alerts integration ## What needs no server, one after the other (needs `make machine images`)

.PHONY: lint
lint: venv ## ansible-lint, yamllint, ruff, mypy, shellcheck, and the generated documents against their sources
	@$(BIN)/yamllint --strict .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy plugins tests tools
	@MYPYPATH=molecule/default/tests $(BIN)/mypy molecule/default/tests
	@MYPYPATH=molecule/default/tests:molecule/faults/tests $(BIN)/mypy molecule/faults
	@MYPYPATH=molecule/default/tests:molecule/diagnose:molecule/diagnose/tests $(BIN)/mypy molecule/diagnose
	@MYPYPATH=templates/telemetry/monitoring $(BIN)/mypy templates/telemetry/monitoring/soundcheck_diagnosis
	@$(BIN)/vermin --quiet --no-tips --violations --target=3.10- --exclude str.decode plugins/modules plugins/module_utils templates/telemetry/monitoring
	@$(BIN)/shellcheck $(SHELL_SCRIPTS)
	@$(BIN)/shfmt -i 2 -ci -d $(SHELL_SCRIPTS)
	@$(BIN)/python tools/role_readme.py --check
	@$(BIN)/python tools/metric_docs.py --check
	@$(BIN)/ansible-lint -q --nocolor

.PHONY: unit
unit: venv ## Unit tests: seconds, no Docker
	@$(BIN)/pytest --quiet --junitxml=$(REPORTS)/unit.xml

.PHONY: render
render: venv ## Every template through the real roles for every collector, database and destination; no Docker
	@PYTEST_ADDOPTS=--junitxml=$(CURDIR)/$(REPORTS)/render.xml $(BIN)/molecule test --scenario-name render

.PHONY: images
images: venv root ## Build the images of the demo and of the test server, and save them as archives
	@$(PLAYBOOK) playbooks/build_images.yml $(ARGS)

.PHONY: alerts
alerts: venv ## Panels and alerts under promtool: what answers, what fires, what stays quiet (needs `make machine images`)
	@$(BIN)/pytest --quiet tests/alerts --junitxml=$(REPORTS)/alerts.xml

.PHONY: integration
integration: venv ## A real gunicorn, a real engine, the report in a real browser (needs `make machine images`)
	@tools/make_venv .cache/demo demo/requirements.txt
	@SOUNDCHECK_DEMO_PYTHON=$(CURDIR)/.cache/demo/bin/python $(BIN)/pytest --quiet tests/integration --junitxml=$(REPORTS)/integration.xml

.PHONY: molecule
molecule: venv root ## Deploy to a fresh Debian 13 server in a container, test, break and diagnose it (needs `make machine images`)
	@$(BIN)/molecule destroy --scenario-name default
	@status=0; \
	PYTEST_ADDOPTS=--junitxml=$(CURDIR)/$(REPORTS)/molecule.xml $(BIN)/molecule test --scenario-name default --destroy never \
	  && PYTEST_ADDOPTS=--junitxml=$(CURDIR)/$(REPORTS)/faults.xml $(BIN)/molecule test --scenario-name faults --destroy never \
	  && PYTEST_ADDOPTS=--junitxml=$(CURDIR)/$(REPORTS)/diagnose.xml $(BIN)/molecule test --scenario-name diagnose --destroy never \
	  || status=$$?; \
	$(BIN)/molecule destroy --scenario-name default; \
	exit $$status

.PHONY: faults
faults: venv root ## Every fault of molecule/faults, an hour, on a fresh server (needs `make machine images`)
	@SOUNDCHECK_FAULTS=all $(BIN)/molecule test --scenario-name faults

.PHONY: diagnose
diagnose: venv root ## Every cause of molecule/diagnose, half an hour, on a fresh server (needs `make machine images`)
	@SOUNDCHECK_DIAGNOSE=all $(BIN)/molecule test --scenario-name diagnose

.PHONY: bench
bench: venv root ## Time deploys and weigh the monitoring, on the server of `molecule converge` (ARGS=--redeploy or --diagnosis: more)
	@$(BIN)/python -m tools.bench $(ARGS)

.PHONY: machine
machine: venv root ## Docker and the programs that the tests call, on this machine
	@$(PLAYBOOK) playbooks/test_machine.yml

.PHONY: clean
clean: ## Remove what make wrote here: .venv, caches, artifacts (not what was deployed, nor its secrets)
	@rm -rf .venv .cache .ansible artifacts .mypy_cache .ruff_cache .pytest_cache
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

.PHONY: venv
venv:
	@tools/make_venv

# Docker and apt need root. sudo must not ask: nobody may be there to answer.
.PHONY: root
root:
	@[ "$$(id -u)" = 0 ] || sudo -n true 2>/dev/null || \
	  { echo "This needs root on this machine: run it as root, or allow this user passwordless sudo." >&2; exit 1; }
