# Every target sets up what it needs in .venv; Python 3.11 or later and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export NUMBA_CACHE_DIR := $(CURDIR)/.cache/numba

DEEP := tests/test_deep*.py

.PHONY: help demo test test-jit test-deep test-python test-cuda sass lint bench clean

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: $(VENV)/demo  ## fill a real table, print what happened, draw a picture
	$(BIN)/greyknn demo --output demo

test: test-jit test-deep test-python test-cuda  ## run every test: compiled, interpreted, and CUDA kernels simulated

test-jit: $(VENV)/test
	$(BIN)/python -m pytest --ignore-glob='$(DEEP)'

# torch is the same with and without numba's compiler.
test-deep: $(VENV)/test
	$(BIN)/python -m pytest $(DEEP) --cov --cov-report=

test-python: test-deep
	NUMBA_DISABLE_JIT=1 $(BIN)/python -m pytest -m "not jit" --ignore-glob='$(DEEP)' \
		--cov --cov-append --cov-report=term --cov-fail-under=95

test-cuda: $(VENV)/test
	NUMBA_ENABLE_CUDASIM=1 $(BIN)/python -m pytest tests/test_simulator.py tests/test_cuda.py tests/test_bench_gpu.py

sass: $(VENV)/bench  ## instructions of the CUDA kernels on every architecture, without a GPU
	$(BIN)/python -m bench.sass

lint: $(VENV)/lint  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/bench  ## ratios beside scikit-learn and others, growth, the paper's tables (15 min)
	$(BIN)/python -m pytest bench --benchmark-columns=min,median,rounds
	$(BIN)/python -m bench $(if $(DATA),--data $(DATA))

clean:  ## remove what was made
	rm -rf $(VENV) .cache demo build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .coverage

# One stamp for each set of extras, so that a target installs once and again when metadata change.
$(VENV)/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$*]"
	touch $@
