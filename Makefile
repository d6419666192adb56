# Everything a person does here; `make` alone lists it.
SHELL := /bin/bash
.DEFAULT_GOAL := help
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
# three test files at a time, each with one thread: tests with servers wait a good deal
PARALLEL := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  \033[1m%-8s\033[0m %s\n", $$1, $$2}' Makefile

$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: there is no python3: install Python 3.11, or give PYTHON=" >&2; exit 2; }
	@"$(PYTHON)" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "error: $(PYTHON) is $$("$(PYTHON)" -V 2>&1): install Python 3.11 or 3.12, or give PYTHON=" >&2; exit 2; }
	test -x $(BIN)/python || "$(PYTHON)" -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 -c constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,content,cluster,server]' -c constraints.txt
	@touch $@

.PHONY: setup
setup: $(READY) ## make the virtual environment in .venv

.PHONY: run
run: $(READY) ## run the DAG `retrain` once, and show what it came to
	@$(BIN)/python -m ops run

.PHONY: serve
serve: $(READY) ## serve what is deployed, with a search page (EIDOLON_PORT, 3000)
	@$(BIN)/python -m ops serve

.PHONY: up
up: $(READY) ## start Airflow, MLflow and the endpoint
	@$(BIN)/python -m ops up

.PHONY: cluster
cluster: $(READY) ## rehearse several machines on this one: PostgreSQL, S3, two workers
	@$(BIN)/python -m ops cluster

.PHONY: down
down: $(READY) ## stop what `make up` or `make cluster` started
	@$(BIN)/python -m ops down

.PHONY: status
status: $(READY) ## show the services, and what is deployed
	@$(BIN)/python -m ops status

.PHONY: monitor
monitor: $(READY) ## look at what was asked of the endpoint, and tell about alarms
	@$(BIN)/python -m ops monitor

.PHONY: browser
browser: $(READY) ## bring a Chromium into .venv for the tests of the page, if none is installed
	@$(BIN)/python -m tests.browser

.PHONY: test
test: $(READY) browser ## all tests, three files at a time
	$(PARALLEL) --durations=25

.PHONY: quick
quick: $(READY) ## the tests that need no servers
	$(PARALLEL) -m "not slow"

# Nehalem is before AVX, Zen has AVX2; the machine's own kernel is what the other tests run on. numpy
# takes OPENBLAS_CORETYPE, PyTorch takes MKL_CBWR for its matrices and ATEN_CPU_CAPABILITY for sums.
.PHONY: kernels
kernels: $(READY) ## the numeric tests on two other BLAS kernels
	OPENBLAS_CORETYPE=Nehalem MKL_CBWR=COMPATIBLE ATEN_CPU_CAPABILITY=default \
	  $(PARALLEL) -m "numeric and not slow"
	OPENBLAS_CORETYPE=Zen MKL_CBWR=AVX2 ATEN_CPU_CAPABILITY=avx2 \
	  $(PARALLEL) -m "numeric and not slow"

.PHONY: check
check: $(READY) ## lint, format, types, dead code, dependencies and manifests
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/vulture
	$(BIN)/deptry .
	$(BIN)/kubernetes-validate --quiet --strict -k 1.37 ops/kubernetes/manifests/*.yaml
	$(BIN)/hadolint ops/kubernetes/Dockerfile

.PHONY: docs
docs: $(READY) ## write docs/commands.md and docs/parameters.md from the code
	$(BIN)/python -m docs

.PHONY: format
format: $(READY) ## put the code into its format
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

.PHONY: bench
bench: $(READY) ## measure
	$(BIN)/python -m benchmarks

.PHONY: ablation
ablation: $(READY) ## compare ideas and baselines on five seeds, to docs/results.md (25 minutes on two cores)
	$(BIN)/python -m study

.PHONY: zoo
zoo: $(READY) ## train the embedded models again (hours)
	$(BIN)/python -m zoo.clip
	$(BIN)/python -m zoo.dino
	$(BIN)/python -m zoo.vae
	$(BIN)/python -m zoo.diffusion

.PHONY: clean
clean: ## remove what runs made (.eidolon, artifacts, data, reports), nothing that was given
	@if [ -d .eidolon ] && [ -x $(BIN)/python ]; then $(BIN)/python -m ops down; fi
	@mkdir -p .eidolon
	find .eidolon -mindepth 1 -maxdepth 1 ! -name remote -exec rm -rf {} +
	rm -rf artifacts data reports
