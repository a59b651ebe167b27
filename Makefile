# Two commands for a fresh machine: make demo, make test. Both set up what they need in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYTEST_ARGS ?=

.PHONY: demo test lint unit golden pitfalls peers vendor faults docs screenshot cassettes clean

demo: $(READY)
	$(BIN)/connector demo

test: lint unit

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

unit: $(READY)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

golden: $(READY)
	$(BIN)/python -m tests.kpis.golden

pitfalls: $(READY)
	$(BIN)/python -m pytest tests/pitfalls -q -m pitfall

peers: $(READY)
	$(BIN)/python -m pytest tests/peers -q -m peers

vendor: $(READY)
	$(BIN)/python -m pytest tests/vendor -q -m vendor

faults: $(READY)
	$(BIN)/python -m tests.faults

docs: $(READY)
	$(BIN)/python -m connector.cli.docs

# The picture of the weekly review in README.md; needs Debian's chromium.
screenshot: $(READY)
	$(BIN)/python -m tests.report.screenshot

cassettes: $(READY)
	$(BIN)/python -m tests.crms.record

$(READY): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; set PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "python -m venv failed; on Debian: apt-get install python3-venv"; exit 1; }
	# The lock is complete: with --no-deps pip asks for nothing beside it, whatever was released since.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $(READY)

clean:
	rm -rf $(VENV) .peers .vendor .pytest_cache .mypy_cache .ruff_cache .hypothesis
