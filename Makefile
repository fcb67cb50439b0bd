# Everything is set up in .venv; nothing else needs to be installed but Python 3.10-3.13.
PYTHON ?= python3
BIN = .venv/bin
DONE = .venv/.installed

# What runs on both backends; JAX compiles each operation for each new shape, which takes minutes in some tests.
JAX_TESTS = $(patsubst %,tests/test_%.py,layers blockwise gpt2 generation training bert keras_hub masking transformer beam lora word2vec accumulation precision memory sharding) \
	"tests/test_resuming.py::test_a_cut_run_ends_as_one_that_was_not[weights-5-2]"
SLOW_ON_JAX = one_beam or more_beams or enough_beams or learns_to_copy or fresh_process or lowers_the_loss or \
	float16_goes_on or same_steps_with_dropout

.PHONY: quickstart test test-jax test-slow test-peers tutorials notebooks results lint clean

quickstart: .venv/.package  ## train a small GPT-2 on text that every machine has, and let it write
	$(BIN)/keras-llm quickstart

test: $(DONE) lint test-jax  ## all tests
	$(BIN)/pytest -q

test-jax: $(DONE)  ## the parts that do not need TensorFlow, on the JAX backend, but for the slowest tests
	KERAS_BACKEND=jax $(BIN)/pytest -q $(JAX_TESTS) -k "not ($(SLOW_ON_JAX))"

test-slow: $(DONE)  ## the tests that take long, and the solutions of all exercises
	$(BIN)/pytest -q -n 0 -m slow
	KERAS_BACKEND=jax $(BIN)/pytest -q $(JAX_TESTS) -k "$(SLOW_ON_JAX)"

test-peers:  ## against transformers on PyTorch, in an environment of its own
	benchmarks/peers.sh
	.venv-peers/bin/pytest -q -m peer

lint: $(DONE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

tutorials: $(DONE)  ## each tutorial from end to end, in the small profile
	$(BIN)/pytest -q tests/test_tutorials.py

notebooks: $(DONE)  ## execute the tutorials in the full profile and write the .ipynb files
	$(BIN)/python tutorials/build.py

results: $(DONE)  ## render the pages' tables from results/*.json
	$(BIN)/python results/render.py

.venv/.package: setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	touch $@

$(DONE): setup.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e ".[test]"
	touch $(DONE) .venv/.package

clean:
	rm -rf .venv .venv-peers build dist *.egg-info
