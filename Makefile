# Everything is set up in .venv; nothing else needs to be installed but Python 3.10-3.13.
PYTHON ?= python3
BIN = .venv/bin
DONE = .venv/.installed

.PHONY: quickstart test test-jax test-slow test-peers tutorials notebooks results lint clean

quickstart: .venv/.package  ## train a small GPT-2 on text that every machine has, and let it write
	$(BIN)/keras-llm quickstart

test: $(DONE) lint test-jax  ## all tests
	$(BIN)/pytest -q

test-jax: $(DONE)  ## the parts that do not need TensorFlow, on the JAX backend
	KERAS_BACKEND=jax $(BIN)/pytest -q tests/test_layers.py tests/test_blockwise.py tests/test_gpt2.py tests/test_generation.py tests/test_training.py tests/test_bert.py tests/test_keras_hub.py tests/test_masking.py tests/test_transformer.py tests/test_beam.py tests/test_lora.py tests/test_word2vec.py tests/test_accumulation.py tests/test_precision.py tests/test_memory.py tests/test_sharding.py "tests/test_resuming.py::test_a_cut_run_ends_as_one_that_was_not[weights-5-2]"

test-slow: $(DONE)  ## the tests that take longer than a minute each
	$(BIN)/pytest -q -n 0 -m slow

test-peers:  ## against transformers on PyTorch, in an environment of its own
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install -q -e ".[test]" torch transformers
	.venv-peers/bin/pytest -q -m peer

lint: $(DONE)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

tutorials: $(DONE)  ## each tutorial from end to end, in the small profile
	$(BIN)/pytest -q tests/test_tutorials.py

notebooks: $(DONE)  ## execute the tutorials in the full profile and write the .ipynb files
	$(BIN)/python tutorials/build.py

results: $(DONE)  ## render README's tables from results/*.json
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
