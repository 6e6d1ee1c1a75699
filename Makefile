# Every target makes .venv itself where it is missing or older than its lock.
# PYTHON: any Python of at least 3.10; without it, the first one found.
# PYTEST: further arguments for pytest, such as PYTEST='-k splice -n 0'.

PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11 python3.10; do \
	"$$python" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && echo "$$python" && break; done)
PYTEST ?=
BIN := $(if $(filter Windows_NT,$(OS)),.venv/Scripts,.venv/bin)
VENV := .venv/.made
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.10 --generate-hashes \
	--no-emit-index-url --custom-compile-command 'make lock'

.DEFAULT_GOAL := help
.PHONY: help test lint tests format demo bench bundle schema lock upgrade clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 \t\2/p' Makefile | expand -t 18

test: lint tests ## everything: lint and the whole test suite

lint: $(VENV) ## ruff, mypy and zizmor
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	@if test -x $(BIN)/zizmor; then echo $(BIN)/zizmor --quiet --offline --pedantic .; \
		$(BIN)/zizmor --quiet --offline --pedantic .; \
		else echo 'zizmor has no wheel for this platform: not run'; fi

tests: $(VENV) ## the test suite alone
	$(BIN)/pytest -n auto $(PYTEST)

format: $(VENV) ## let ruff format and fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

demo: $(VENV) ## a release from dev to prod and back, in a config repository made for it
	@$(BIN)/python demo/demo.py

bench: $(VENV) ## time everything against what people use instead; takes half an hour
	$(BIN)/python bench/edit.py
	$(BIN)/python bench/promotion.py
	$(BIN)/python bench/fan_out.py
	$(BIN)/python bench/bootstrap.py

bundle: $(VENV) ## what a release carries, for the CPythons on the PATH; others: PYTHONS='/a/python3.14 ...'
	$(BIN)/python release/bundle.py . $(PYTHONS)

schema: $(VENV) ## write the policy file's JSON Schema from its definition
	$(BIN)/python -c "import json; from gitops_promote.core.policy.schema import schema; \
		print(json.dumps(schema(), indent=2, ensure_ascii=False))" >schema/gitops-promote.schema.json

lock: $(VENV) ## write the locks after a change in pyproject.toml
	$(COMPILE) $(UPGRADE) pyproject.toml --output-file action/requirements.txt
	$(COMPILE) $(UPGRADE) pyproject.toml --group pyproject.toml:dev \
		--constraint action/requirements.txt --output-file requirements/dev.txt

upgrade: UPGRADE := --upgrade
upgrade: lock ## write the locks with the newest versions

clean: ## remove what the other targets made
	rm -rf .venv build bundle dist .hypothesis .mypy_cache .pytest_cache .ruff_cache

$(VENV): requirements/dev.txt requirements/make_venv.py pyproject.toml
	@test -n '$(PYTHON)' || { echo 'No Python of at least 3.10 is on the PATH; name one: make PYTHON=/path/to/python3'; exit 1; }
	@$(PYTHON) requirements/make_venv.py
