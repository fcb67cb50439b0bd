"""How long a saved nano model takes to write its first token, from the start of the process.

    python benchmarks/startup.py --result results/bench_startup.json

Beside it: a process that does nothing but import TensorFlow and Keras, below which no program on them can come.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import time

import turns


def seconds(command, until=None):
    """From starting the command until a byte comes that `until` says is the awaited one, or until it ends."""
    started = time.perf_counter()
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment
    ) as process:
        read = b""
        while byte := process.stdout.read(1):
            read += byte
            if until and until(read):
                break
        else:
            if until:
                raise SystemExit(f"{command} ended without what was awaited.")
        taken = time.perf_counter() - started
        process.communicate()
    return {"s": taken}


def keras_llm(options):
    """`keras-llm generate`, until a letter comes behind the prompt."""
    from keras_llm import GPT2Model, Tokenizer

    folder = pathlib.Path(tempfile.mkdtemp())
    tokenizer = Tokenizer.train(["to be or not to be, that is the question"], "character")
    tokenizer.save(folder)
    GPT2Model.from_preset("nano", vocabulary_size=tokenizer.vocabulary_size).save_pretrained(folder)
    program = pathlib.Path(sys.executable).with_name("keras-llm")
    command = [str(program), "generate", str(folder), "to be", "--max-new-tokens", "20"]

    def work():
        return seconds(command, lambda read: len(read) > read.find(b"to be") + 5 > 4)

    work()
    return work


def imports(options):
    """TensorFlow and Keras, and nothing else."""
    command = [sys.executable, "-c", "import tensorflow, keras"]

    def work():
        return seconds(command)

    work()
    return work


SIDES = (keras_llm, imports)

if __name__ == "__main__":
    turns.main(__doc__.splitlines()[0], SIDES)
