# Everything installs into .venv, from lock files, and is not installed again until they change.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: $(VENV)/.run ## the whole system on this machine, until Ctrl-C (PORT=8000 DATA_DIR=./data)
	@exec $(BIN)/hoithi up

.PHONY: kafka
kafka: $(VENV)/.run ## Apache Kafka on 127.0.0.1:9092, to try a city's set-up (NODES=3 for three; Java 17, Maven)
	@$(BIN)/python -m deploy.kafka start --nodes $(or $(NODES),1)

.PHONY: kafka-stop
kafka-stop: $(VENV)/.run ## stop the brokers that `make kafka` started
	@$(BIN)/python -m deploy.kafka stop

.PHONY: check
check: $(VENV)/.dev ## style, formatting, types, and which part may import which
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: check ## check, then every test: unit, contract, integration, end to end (browser: Chromium)
	$(BIN)/pytest -n 2 --dist loadgroup

.PHONY: chaos
chaos: $(VENV)/.dev ## 200 kills under 300 attempts a second on three Kafka brokers, then the audit (SEED=…, KILLS=…, BUS=local)
	$(BIN)/python -m tests.chaos.storm --kills $(or $(KILLS),200) --bus $(or $(BUS),kafka) $(if $(SEED),--seed $(SEED))

.PHONY: bench
bench: bench-submit bench-ranking bench-turnout bench-report ## every benchmark

.PHONY: bench-submit
bench-submit: $(VENV)/.dev ## durable submissions a second against FastAPI's empty endpoint (needs wrk, two cores)
	$(BIN)/python -m tests.load.bench_submit

.PHONY: bench-ranking
bench-ranking: $(VENV)/.dev ## 300,000 attempts ranked, drawn and published; pages of standings
	$(BIN)/python -m tests.load.bench_ranking

.PHONY: bench-report
bench-report: $(VENV)/.dev ## submissions while reports of a million attempts are being made, and without
	$(BIN)/python -m tests.load.bench_report

.PHONY: bench-turnout
bench-turnout: $(VENV)/.dev ## turnout of 2,000 units at a million attempts and at a tenth of them; how long a cut takes
	$(BIN)/python -m tests.load.bench_turnout

.PHONY: lock
lock: ## write the lock files anew from pyproject.toml, with the newest versions that it allows
	@$(find-python); "$$python" -m venv build/uv
	build/uv/bin/pip install --quiet uv
	$(compile) --extra local --output-file requirements.lock
	$(compile) --extra local --extra test --constraint requirements.lock --output-file requirements-dev.lock

.PHONY: clean
clean: ## remove what was installed and built; DATA_DIR stays
	rm -rf $(VENV) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

# setuptools links this directory into .venv, so it is locked too.
compile = echo 'setuptools>=77' | build/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate --no-emit-index-url --no-emit-find-links pyproject.toml -

# What the kernel of an import needs is compiled at its first import; compiling all of every package takes longer than that.
install = $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-input --no-deps --no-compile
install-failed = { echo "Cài đặt không thành công: cần mạng Internet và CPython 3.11–3.13 trên Linux (x86-64, ARM) hoặc macOS (ARM)." >&2; \
	echo "Installation failed: it takes the Internet, and CPython 3.11-3.13 on Linux (x86-64, ARM) or macOS (ARM)." >&2; exit 1; }

$(VENV)/.run: $(VENV)/.made requirements.lock pyproject.toml
	@echo "Đang cài đặt vào $(VENV)…"
	@$(install) --require-hashes --requirement requirements.lock || $(install-failed)
	@$(install) --no-build-isolation --editable . || $(install-failed)
	@touch $@

$(VENV)/.dev: $(VENV)/.run requirements-dev.lock
	@$(install) --require-hashes --requirement requirements-dev.lock || $(install-failed)
	@touch $@

$(VENV)/.made:
	@test -x $(BIN)/python || { $(find-python); "$$python" -m venv $(VENV); }
	@touch $@

# PYTHON=… chooses one; else the newest that will do. There are no wheels of the store for others.
fits = -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
find-python = for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3); do "$$python" $(fits) && break; python=; done; \
	test "$$python" || { echo "Cần CPython 3.11, 3.12 hoặc 3.13: hãy cài một bản, hoặc chỉ ra bằng PYTHON=/đường/dẫn." >&2; \
	echo "CPython 3.11, 3.12 or 3.13 is needed: install one, or name it with PYTHON=/its/path." >&2; exit 1; }; \
	"$$python" -c 'import ensurepip, venv' 2>/dev/null || { \
	echo "$$python thiếu mô-đun venv: hãy cài nó (Debian, Ubuntu: apt install python3-venv)." >&2; \
	echo "$$python lacks the venv module: install it (Debian, Ubuntu: apt install python3-venv)." >&2; exit 1; }
