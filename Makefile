# Two commands do everything on a fresh machine: `make reproduce` and `make test`. Needs Python 3.11 or newer and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete

.PHONY: help setup reproduce test figures bench bench-accept lint format schemas readme clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(STAMP) ## Set up, run the quick study on embedded real data, build results/report.html
	@$(BIN)/python -m pipeline.reproduce

test: $(STAMP) ## Set up, run the tests
	@$(BIN)/python -m pytest

setup: $(STAMP) ## Make .venv with the tested versions

# torch first: asked for by another package, pip may take another build of it. The stamp comes last, so that a set-up that
# was interrupted is taken up again.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("this needs Python 3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + "; try make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,sparse]'
	@touch $@

figures: $(STAMP) ## Rebuild figures, tables, claims and leaderboard from the committed records, no training
	$(BIN)/snakemake figures tables leaderboard claims

bench: $(STAMP) ## Run the benchmarks, on an idle machine, and compare with the accepted ones
	$(BIN)/python -m pytest benchmarks -n 0 --benchmark-only --benchmark-columns=mean
	$(BIN)/python -m benchmarks.compare

bench-accept: ## Make the last benchmarks those that later ones are compared with
	cp results/benchmarks/benchmarks.json results/reference/benchmarks.json

lint: $(STAMP) ## Check style: ruff, snakefmt, snakemake --lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile pipeline/rules
	$(BIN)/snakemake --lint

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile pipeline/rules

schemas: $(STAMP) ## Export the JSON schemas of studies and records
	$(BIN)/python -m pipeline.schema_export

readme: $(STAMP) ## Regenerate the README's blocks: methods, results from the committed records, audit
	$(BIN)/snakemake results/flops/audit.csv
	$(BIN)/python -m analysis.build readme $(foreach study,mnist mnist-appendix-b quick,--records results/reference/$(study)) $(patsubst %/records.jsonl,--claims %,$(wildcard results/reference/*/records.jsonl)) $(patsubst %,--measured %,$(wildcard results/reference/*/landscape.jsonl)) --audit results/flops/audit.csv --readme README.md

clean: ## Remove everything that the workflow made; committed results stay
	rm -rf results/runs results/cache results/plans results/logs results/leases results/report.html .snakemake
	rm -rf results/figures/runs results/tables results/leaderboard results/landscape results/flops
