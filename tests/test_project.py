"""The house itself: imports, the wheel, README's figures."""

import json
import os
import pathlib
import re
import subprocess
import sys
import zipfile

import pytest

import keras_llm

ROOT = pathlib.Path(__file__).parents[1]


def run_python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_is_lazy_and_quick():
    code = (
        "import keras, sys, time; before = set(sys.modules); start = time.perf_counter(); "
        "import keras_llm; seconds = time.perf_counter() - start; "
        "print(seconds, len([m for m in set(sys.modules) - before if m.startswith('keras_llm')]))"
    )
    run = run_python(code)
    seconds, modules = run.stdout.split()
    assert float(seconds) <= 0.3 and int(modules) == 1, run.stderr


def test_every_public_name_resolves():
    for name in keras_llm.__all__:
        assert getattr(keras_llm, name) is not None
    assert set(keras_llm.__all__) == set(dir(keras_llm))
    with pytest.raises(AttributeError, match="no attribute 'GPT3Model'"):
        _ = keras_llm.GPT3Model


def test_models_work_where_tensorflow_is_not_installed():
    code = """
import sys
class NoTensorFlow:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "tensorflow":
            raise ModuleNotFoundError("No module named 'tensorflow'", name="tensorflow")
sys.meta_path.insert(0, NoTensorFlow())
import numpy as np
import keras_llm
from keras_llm.datasets.batches import TokenWindows
model = keras_llm.GPT2Model.from_preset("nano", num_layers=1, context_length=16, vocabulary_size=20)
model.compile(keras_llm.AdamW(1e-3), keras_llm.TokenCrossEntropy(), metrics=[keras_llm.Perplexity()])
model.fit(TokenWindows(np.arange(200) % 20, 16, 2), steps_per_epoch=2, shuffle=False, verbose=0)
print(keras_llm.TextGenerator(model).generate_ids([[1, 2, 3]], 4))
for name in keras_llm.__all__:
    getattr(keras_llm, name)
assert not any(name.split(".")[0] == "tensorflow" for name in sys.modules)
"""
    run = run_python(code, KERAS_BACKEND="jax")
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"\[\[\d+, \d+, \d+, \d+\]\]\n", run.stdout)


def test_the_wheel_holds_code_and_data(tmp_path):
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, ROOT],
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "elsewhere")
    bundled = {path.name for path in (ROOT / "data").iterdir() if path.suffix != ".md"}
    assert bundled <= {path.name for path in (tmp_path / "elsewhere" / "keras_llm" / "data").iterdir()}
    code = (
        "import keras_llm, keras_llm.datasets as d; print(keras_llm.__file__); "
        "print(len(d.load('topics_en')), len(d.load('dialogue_zh')))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "elsewhere",  # the folder that python looks into first
        capture_output=True,
        text=True,
        check=True,
    )
    place, counts = run.stdout.strip().splitlines()
    assert str(tmp_path) in place
    assert all(int(count) >= 200 for count in counts.split())


def test_readme_shows_what_the_results_say():
    run = subprocess.run(
        [sys.executable, ROOT / "results" / "render.py", "--check"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr


def test_results_are_complete():
    fields = {"name", "command", "commit", "seed", "data", "versions", "hardware", "wall_seconds", "metrics"}
    for path in (ROOT / "results").glob("*.json"):
        result = json.loads(path.read_text())
        assert fields <= set(result), path
        assert result["name"] == path.stem
        assert all(re.fullmatch(r"[0-9a-f]{64}", entry["sha256"]) for entry in result["data"]), path
        for name, value in result["metrics"].items():
            if "accuracy" in name or "f1" in name.split("_"):
                assert 0 <= value <= 1, (path, name)
