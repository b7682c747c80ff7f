# `make` prints what there is. Everything runs in .venv, made from the lock, requirements-dev.txt.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3.11
BIN := .venv/bin
# The command of this very clone, whichever one .venv was made in.
PERENNIAL := $(BIN)/python -m command
EVERY ?= month
ROLE ?= bi_reader
# Processes work side by side; threads of one would wait for each other longer than they work.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

# What is typed is text. Make expands nothing in it, and a recipe takes it from the environment as
# "$$NAME", never as a piece of its own command: a quote in a value runs nothing.
TYPED := SOURCE FILES SCHEDULE AS_OF AGAIN FROM TO EVERY QUESTION WHY ROLE BATCH ALERT ONLY DATA SHARED FINAL SEED \
  CUSTOMER DRY FILE UPGRADE SIZES TIME_ZONE CURRENCY NAME ENTITY KIND
$(foreach name,$(TYPED),$(eval $(name) ?=))
$(foreach name,$(TYPED) $(filter PERENNIAL_%,$(.VARIABLES)),\
  $(if $(filter command environment,$(firstword $(origin $(name)))),\
    $(eval override $(name) := $$(value $(name)))))
export $(TYPED)
FORM := --source="$$SOURCE" --files="$$FILES" --time-zone="$$TIME_ZONE" --currency="$$CURRENCY"
SHOP := $(FORM) --schedule="$$SCHEDULE"

.PHONY: help
help: ## print this
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-16s %s\n", $$1, $$2}'
	@echo
	@echo "make run SOURCE=online_retail FILES=orders.csv.gz AS_OF=2011-06-10,2011-09-10"
	@echo "Settings are PERENNIAL_* variables; perennial/settings.py lists them."

# Environment ---------------------------------------------------------------------------------

# The lock is complete, so pip has nothing to resolve; but for torch, whose build for GPUs wants
# libraries that its CPU build does not: where it is the only one at hand, they come with it.
$(BIN)/.made-from-lock: requirements-dev.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not here; name another 3.11 with PYTHON=" >&2; exit 1; }
	@echo "making .venv from $< (some minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install -qq --no-deps --disable-pip-version-check -r $<
	@$(BIN)/python -m pip install -qq --disable-pip-version-check $$(grep '^torch==' $<)
	@touch $@

# `perennial` for the shell. Editable, not a wheel: dags/ and tests/ belong to a deployment.
$(BIN)/perennial: | $(BIN)/.made-from-lock
	@$(BIN)/python -m pip install -qq --no-deps --no-build-isolation --disable-pip-version-check -e .

.PHONY: env
env: $(BIN)/.made-from-lock $(BIN)/perennial ## make the environment, .venv, and in it the command perennial

LOCK = $(BIN)/uv pip compile -q pyproject.toml --python-version 3.11 --no-header --no-annotate \
  $${PIP_FIND_LINKS:+--find-links $$PIP_FIND_LINKS}

.PHONY: lock
lock: env ## resolve pyproject.toml into the lock and its part for the image; UPGRADE=yes takes the newest that fit
	@$(BIN)/python -m pip install -qq uv
	@# torch's CPU build, where one is at hand: the other drags in gigabytes. Its label, +cpu, goes
	@# again, because it installs nowhere else.
	@sed -i 's/^\(torch==[0-9.]*\)$$/\1+cpu/' requirements-dev.txt requirements.txt
	@$(LOCK) --extra dev $${UPGRADE:+--upgrade} -o requirements-dev.txt
	@$(LOCK) -c requirements-dev.txt -o requirements.txt
	@sed -i 's/^\(torch==[^+]*\)+cpu$$/\1/' requirements-dev.txt requirements.txt

.PHONY: sbom
sbom: env ## write the bill of materials of the lock (CycloneDX), sbom.cdx.json
	@PYTHONWARNINGS=ignore $(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible -o sbom.cdx.json
	@echo "sbom.cdx.json"

# The main job --------------------------------------------------------------------------------

.PHONY: run
run: env ## land, build, score and report; SOURCE= FILES= AS_OF=date[,date] TIME_ZONE= CURRENCY= AGAIN=yes SCHEDULE=on
	@$(PERENNIAL) run $(SHOP) --as-of="$$AS_OF" --again="$$AGAIN"

.PHONY: backfill
backfill: env ## score a range of dates; FROM= TO= EVERY=days|month, SOURCE= FILES=
	@$(PERENNIAL) backfill $(SHOP) --from="$$FROM" --to="$$TO" --every="$$EVERY"

.PHONY: ui
ui: env ## start Airflow and, beside it, MLflow: models, figures, cards
	@$(PERENNIAL) ui $(SHOP)

.PHONY: serve
serve: env ## answer over HTTP what was published of a customer, a product or a cart
	@$(PERENNIAL) serve

.PHONY: rollback
rollback: env ## take a question's newest model out of use; QUESTION= WHY=
	@$(PERENNIAL) rollback -- "$$QUESTION" "$$WHY"

.PHONY: check-source
check-source: env ## what would come of a shop's files, in seconds, nothing is kept; SOURCE= FILES= TIME_ZONE= CURRENCY=
	@$(PERENNIAL) check-source $(FORM) --as-of="$$AS_OF"

.PHONY: new-question
new-question: env ## write the files of a question, which runs as it is; NAME= ENTITY= KIND=predicts|describes|rules
	@$(PERENNIAL) new-question -- "$$NAME" "$$ENTITY" "$$KIND"

.PHONY: new-source
new-source: env ## write a staging folder for a shop of its own form, which builds as it is; NAME=
	@$(PERENNIAL) new-source -- "$$NAME"

.PHONY: shop
shop: env ## print the shop's time zone and currency; TIME_ZONE= CURRENCY= change them on purpose
	@$(PERENNIAL) shop --new-time-zone="$$TIME_ZONE" --new-currency="$$CURRENCY"

.PHONY: watch
watch: env ## is what is due there? a line a finding, exit code 1; for cron: ALERT=yes
	@PERENNIAL_SCHEDULE="$${SCHEDULE:-$${PERENNIAL_SCHEDULE:-off}}" $(PERENNIAL) watch $${ALERT:+--alert}

.PHONY: down status logs dsn clean
down: env ## stop everything; the state stays
	@$(PERENNIAL) down
status: env ## what runs, and the newest scores
	@$(PERENNIAL) status
logs: env ## where the logs are, and the end of each
	@$(PERENNIAL) logs
dsn: env ## print a connection URL and nothing else; ROLE=bi_reader
	@$(PERENNIAL) dsn --role="$$ROLE"
clean: env ## stop everything and delete the home, scores and all
	@$(PERENNIAL) clean

.PHONY: dbt-env
dbt-env: env ## print the settings of a dbt by hand: eval "$(make dbt-env)"; AS_OF=date
	@$(PERENNIAL) dbt-env --as-of="$$AS_OF"

.PHONY: backup restore
backup: env ## copy the home, database, models and passwords, into a new folder; TO=folder
	@$(PERENNIAL) backup --to="$$TO"
restore: env ## make the home anew out of a backup; FROM=folder
	@$(PERENNIAL) restore --from="$$FROM"

.PHONY: accept refuse batches
accept: env ## let a held batch into staging; BATCH=
	@$(PERENNIAL) accept -- "$$BATCH"
refuse: env ## keep a batch out of staging, or take it out again; BATCH=
	@$(PERENNIAL) refuse -- "$$BATCH"
batches: env ## list the batches and their status
	@$(PERENNIAL) batches

.PHONY: export erase
export: env ## print all that is known of a customer as JSON; CUSTOMER= FILE=new file
	@$(PERENNIAL) export --to="$$FILE" -- "$$CUSTOMER"
erase: env ## erase a customer, see docs/privacy.md; CUSTOMER= WHY= DRY=yes
	@$(PERENNIAL) erase --dry="$$DRY" -- "$$CUSTOMER" "$$WHY"

# Containers ----------------------------------------------------------------------------------

# Docker with its compose plugin, or else Podman with podman-compose. The set's passwords are in
# docker/.secrets, or in PERENNIAL_SECRETS; docs/containers.md tells the rest.
COMPOSE ?= $(if $(shell docker compose version 2>/dev/null),docker compose,$(BIN)/podman-compose)
ENGINE ?= $(if $(findstring podman,$(COMPOSE)),podman,docker)
SET = $(COMPOSE) -f docker/compose.yaml
# a folder of wheels on this machine: Podman can show it to a build
WHEELS = $(if $(wildcard $(PIP_FIND_LINKS)),--volume $(PIP_FIND_LINKS):$(PIP_FIND_LINKS):ro)

.PHONY: image containers containers-down
image: ## build the image of every role; BASE_IMAGE= PERENNIAL_IMAGE=
	@$(ENGINE) build -f docker/Dockerfile -t $${PERENNIAL_IMAGE:-localhost/perennial:latest} $(WHEELS) \
	  $${BASE_IMAGE:+--build-arg BASE_IMAGE=$$BASE_IMAGE} \
	  $${PIP_FIND_LINKS:+--build-arg PIP_FIND_LINKS=$$PIP_FIND_LINKS} \
	  $${PIP_EXTRA_INDEX_URL:+--build-arg PIP_EXTRA_INDEX_URL=$$PIP_EXTRA_INDEX_URL} .
containers: image ## start the set in containers, migrate what is older; PERENNIAL_WORKERS=2
	@docker/secrets.sh
	@$(SET) up -d
containers-down: ## stop the set; its volumes stay
	@$(SET) down --remove-orphans

# Quality -------------------------------------------------------------------------------------

# The slowest first, so that no core waits for another at the end. No folder may hold a file that
# was named before it: pytest would take the folder alone, in its own order.
SLOWEST := $(addprefix tests/,integration/test_point_in_time.py integration/test_airflow_chain.py \
  integration/test_real_shop.py sql/test_incremental.py)
SLOWEST_FIRST := $(SLOWEST) $(filter-out $(SLOWEST),$(wildcard tests/sql/test_*.py tests/integration/test_*.py)) \
  tests/faults tests/gates tests/rules tests/unit

# Two processes, in less than two minutes where both cores are quiet; each prints when it has ended.
.PHONY: check
check: env ## lint, types, SQL lint and the quick tests, side by side, before each commit
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target lint test-quick

.PHONY: test
test: env ## every test: quick ones, and a real scheduler from files to reports
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(SLOWEST_FIRST)

.PHONY: test-faults
test-faults: env ## kill, cut, fill up and race, whole (about 45 minutes); ONLY=part,part SEED=
	@$(BIN)/python -m tests.faults --only="$$ONLY" --seed="$$SEED"

.PHONY: test-containers
test-containers: env image ## the set in containers, two workers, one of them killed (about 20 minutes)
	@COMPOSE="$(COMPOSE)" ENGINE="$(ENGINE)" $(BIN)/python -m pytest -v -s tests/containers

.PHONY: test-quick
test-quick: env ## the tests that need no service, but for the slow ones of them
	@$(BIN)/python -m pytest -m "not slow" tests/unit tests/rules

# What a user would pick instead, in a lock and an environment of its own.
.venv-bench/.made-from-lock: benchmarks/requirements.txt
	@echo "making .venv-bench from benchmarks/requirements.txt (some minutes, once)"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install -qq --no-deps --disable-pip-version-check -r $<
	@touch $@

.PHONY: bench
bench: env .venv-bench/.made-from-lock ## us beside the peers; ONLY=churn,cost DATA=folder PANEL=tuning WHY=
	@$(BIN)/python -m benchmarks $${ONLY:+--only="$$ONLY"} $${DATA:+--data="$$DATA"} \
	  $${SHARED:+--shared="$$SHARED"} $${FINAL:+--final} $${PANEL:+--panel="$$PANEL"} \
	  $${WHY:+--why="$$WHY"}

.PHONY: bench-scale
bench-scale: env ## the daily chain at 1, 10 and 50 million order lines (hours); SIZES="1000000 10000000"
	@$(BIN)/python -m benchmarks.scale $$SIZES

.PHONY: lint lint-python lint-sql
lint: lint-python lint-sql ## ruff, mypy, sqlfluff; warns of benchmark figures of older models
lint-python: env
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check -q . || { echo "make fmt would change files" >&2; exit 1; }
	@$(BIN)/mypy
	@$(BIN)/python -m benchmarks.code
lint-sql: env
	@$(BIN)/sqlfluff lint -q dbt_project/models

.PHONY: fmt
fmt: env ## format and mend what can be mended
	@$(BIN)/ruff check -q --fix . || true
	@$(BIN)/ruff format -q .
	@$(BIN)/sqlfluff fix -q dbt_project/models
