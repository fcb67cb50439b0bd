"""How fast a GPT-2 of 124 million parameters writes here, in transformers on PyTorch and in KerasHub.

    .venv-peers/bin/python benchmarks/decoding.py --result results/bench_decoding_1x64.json
    .venv-peers/bin/python benchmarks/decoding.py --batch 8 --tokens 512 --result results/bench_decoding_8x512.json

Random weights, the same sizes, greedy, float32, each with its cache. A round is: reading a prompt of `--prompt` tokens
and writing one (its time is the prefill), then the same prompt and `--tokens` new ones.
"""

import time

import numpy as np
import turns

VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS = 50257, 1024, 768, 12, 12


def prompts(options):
    """Random ids, int32 `[batch, prompt]`."""
    return np.random.default_rng(0).integers(0, VOCABULARY, (options.batch, options.prompt)).astype("int32")


def timed(options, write):
    """A function that calls `write(new tokens)`: milliseconds of the prefill, and of each token after the first."""

    def seconds(tokens):
        started = time.perf_counter()
        write(tokens)
        return time.perf_counter() - started

    def work():
        write(1)  # not counted, see `turns`
        prefill, whole = seconds(1), seconds(options.tokens)
        return {
            "prefill_ms": 1000 * prefill,
            "ms_a_token": 1000 * (whole - prefill) / (options.tokens - 1),
            "whole_s": whole,
        }

    work()
    return work


def keras_llm(options):
    """Ours."""
    from keras_llm import GPT2Model, Sampler, TextGenerator

    model = GPT2Model(VOCABULARY, CONTEXT, WIDTH, LAYERS, HEADS, dropout=0.0)
    writer, rows = TextGenerator(model), prompts(options).tolist()

    def write(tokens):
        written = writer.generate_ids(rows, tokens, Sampler(temperature=0.0))
        assert all(len(row) == tokens for row in written)

    return timed(options, write)


def transformers(options, compiled=False):
    """`generate` of transformers."""
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    model = GPT2LMHeadModel(GPT2Config()).eval()
    ids = torch.from_numpy(prompts(options).astype("int64"))
    settings = {"cache_implementation": "static"} if compiled else {}
    if compiled:
        model.forward = torch.compile(model.forward)

    def write(tokens):
        with torch.inference_mode():
            written = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                min_new_tokens=tokens,
                max_new_tokens=tokens,
                pad_token_id=0,
                eos_token_id=None,
                **settings,
            )
        assert written.shape[1] == ids.shape[1] + tokens

    return timed(options, write)


def transformers_compiled(options):
    """The same with a static cache and compiled."""
    return transformers(options, compiled=True)


def keras_hub(options, jit_compile=False):
    """`generate` of KerasHub."""
    import keras_hub

    backbone = keras_hub.models.GPT2Backbone(VOCABULARY, LAYERS, HEADS, WIDTH, 4 * WIDTH, 0.0, CONTEXT)
    model = keras_hub.models.GPT2CausalLM(backbone)
    model.compile(sampler="greedy", jit_compile=jit_compile)
    ids = prompts(options)

    def write(tokens):
        padded = np.pad(ids, ((0, 0), (0, tokens)))
        mask = np.arange(padded.shape[1])[None, :] < ids.shape[1]
        mask = np.repeat(mask, len(ids), axis=0)
        model.generate({"token_ids": padded, "padding_mask": mask}, stop_token_ids=None)

    return timed(options, write)


def keras_hub_jit(options):
    """The same, compiled by XLA."""
    return keras_hub(options, jit_compile=True)


SIDES = (keras_llm, transformers, transformers_compiled, keras_hub, keras_hub_jit, turns.ceilings)

if __name__ == "__main__":
    turns.main(__doc__.splitlines()[0], SIDES, [("batch", 1), ("prompt", 16), ("tokens", 64)])
