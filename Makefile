# Every command by its name. The environment is built when it is first needed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
MLFLOW := mlflow==3.17.2
EXTRAS := alerts calendars dask faststream feeds metrics mlflow pack pages s3 serve sign # all but ray
ARTIFACTS ?= artifacts
MODEL ?= $(shell cat $(ARTIFACTS)/latest_id.txt 2>/dev/null)
CSV ?= $(ARTIFACTS)/live_data.csv
DIRECTORY = $(ARTIFACTS)/models/$(MODEL)

.PHONY: help env lock mlflow-server e2e test lint docs coverage bench promote rollback shadow drift-check watch kill unkill kill-drill
.PHONY: gate\:data gate\:signal gate\:parity gate\:pnl gate\:wf candidate

help: ## Show this list
	@grep -hE '^[a-z0-9\\:-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/\\:/:/; s/:[^:#]*## /\t/' | expand -t 16

env: $(VENV)/ready ## Build the environment in .venv

$(VENV)/ready: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and none was found: make PYTHON=/path/to/python" >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

lock: env ## Bring requirements.lock in step with pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		$(addprefix --extra ,$(EXTRAS)) --group dev --output-file requirements.lock pyproject.toml

mlflow-server: env ## Install the MLflow server that some tests start, in .venv/mlflow
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(VENV)/mlflow
	$(BIN)/uv pip install --quiet --compile-bytecode --python $(VENV)/mlflow/bin/python '$(MLFLOW)'

e2e: env ## Train, pack, gate, promote, shadow, roll back, check drift: on real data
	$(BIN)/python -m examples.sp500.e2e

test: env ## Run the whole test suite
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: env ## Check style, types and import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

docs: env ## Build the pages as a site, in site/
	$(BIN)/mkdocs build --strict

coverage: env ## Run the test suite and say how much of the code it runs
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -n 2 --dist worksteal
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

bench: env ## Run the benchmarks
	for name in startup statistics strict_check tables registry serving feeds records drift bucket; do $(BIN)/python -m benchmarks.$$name; done

candidate:
	@test -n "$(MODEL)" || { echo "no candidate yet: pack one, or name it with MODEL=<id>" >&2; exit 2; }

gate\:data: env candidate ## Gates of files, schema and panel, on MODEL (default: the newest)
	$(BIN)/pytest --model-dir=$(DIRECTORY) -m data

gate\:signal: env candidate ## Gates of significance and ablation
	$(BIN)/pytest --model-dir=$(DIRECTORY) -m signal

gate\:parity: env candidate ## Gates of ONNX Runtime against the native model
	$(BIN)/pytest --model-dir=$(DIRECTORY) -m parity

gate\:pnl: env candidate ## Gates of paper profit and loss
	$(BIN)/pytest --model-dir=$(DIRECTORY) -m pnl

gate\:wf: env candidate ## Walk-forward gates
	$(BIN)/pytest --model-dir=$(DIRECTORY) -m wf

promote: env candidate ## Run the hard gates of MODEL and make it live if they pass
	$(BIN)/modelgates promote $(DIRECTORY)

rollback: env ## Go back to a model that was live before; asks which, and why
	$(BIN)/modelgates rollback --artifacts $(ARTIFACTS)

kill: env ## Stop all predictions at once: make kill REASON="…"
	$(BIN)/modelgates kill --artifacts $(ARTIFACTS) --reason "$(REASON)"

unkill: env ## Let predictions go on: make unkill REASON="…"
	$(BIN)/modelgates unkill --artifacts $(ARTIFACTS) --reason "$(REASON)"

kill-drill: env ## Prove on every running server that the kill switch works
	$(BIN)/modelgates kill --drill --artifacts $(ARTIFACTS)

shadow: env candidate ## Score CSV with MODEL beside the live model
	$(BIN)/modelgates shadow --onnx $(DIRECTORY)/model.onnx --csv $(CSV)

drift-check: env ## Compare the live model's predictions with its golden
	$(BIN)/modelgates drift-check --artifacts $(ARTIFACTS)

watch: env ## Look at how the live model does, and roll it back on a breach
	$(BIN)/modelgates watch --artifacts $(ARTIFACTS)
