"""GPT-2 against what transformers computed (tests/fixtures), and against itself."""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_llm.models.gpt2 import PRESETS, GPT2Model

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CHECKPOINTS = ["gpt2_odd", "gpt2_variant"]


def tiny(**overrides):
    sizes = {
        "vocabulary_size": 50,
        "context_length": 24,
        "hidden_dim": 16,
        "num_layers": 2,
        "num_heads": 2,
        "dropout": 0.0,
    }
    model = GPT2Model(**{**sizes, **overrides})
    for i, variable in enumerate(model.trainable_variables):  # the same on every backend
        noise = np.random.default_rng(i).normal(size=variable.shape, scale=0.3)
        variable.assign(noise + (variable.path.endswith("gamma")))
    return model


def ids(*shape, high=50):
    return np.random.default_rng(sum(shape)).integers(0, high, shape).astype("int32")


def relative_error(ours, theirs):
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_logits_equal_those_of_transformers(name):
    expected = np.load(FIXTURES / name / "expected.npz")
    model = GPT2Model.from_pretrained(FIXTURES / name)
    assert relative_error(model(expected["token_ids"]), expected["logits"]) < 1e-5


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_greedy_ids_equal_those_of_transformers(name):
    expected = np.load(FIXTURES / name / "expected.npz")
    model = GPT2Model.from_pretrained(FIXTURES / name)
    text = expected["prompt"][0].tolist()
    for _ in range(20):
        filled = np.array([text + [0] * (model.context_length - len(text))], "int32")
        text.append(int(np.asarray(model(filled))[0, len(text) - 1].argmax()))
    assert text[-20:] == expected["greedy"][0].tolist()


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_export_holds_the_same_bits_and_reads_back(name, tmp_path):
    model = GPT2Model.from_pretrained(FIXTURES / name)
    model.save_pretrained(tmp_path)
    theirs = safetensors.numpy.load_file(FIXTURES / name / "model.safetensors")
    ours = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert set(theirs) - {"lm_head.weight"} == set(ours)
    for tensor in ours:
        np.testing.assert_array_equal(ours[tensor], theirs[tensor])
    config, original = (
        json.loads((folder / "config.json").read_text()) for folder in (tmp_path, FIXTURES / name)
    )
    for key in (
        "vocab_size",
        "n_positions",
        "n_embd",
        "n_layer",
        "n_head",
        "activation_function",
        "layer_norm_epsilon",
    ):
        assert config[key] == original[key]
    again = GPT2Model.from_pretrained(tmp_path)
    assert again.get_config() | {"name": ""} == model.get_config() | {"name": ""}
    token_ids = ids(2, 9)
    np.testing.assert_array_equal(np.asarray(again(token_ids)), np.asarray(model(token_ids)))


def test_sharded_checkpoints_are_read(tmp_path):
    folder = FIXTURES / "gpt2_variant"
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    shutil.copy(folder / "config.json", tmp_path)
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shards.values()):
        part = {name: tensors[name] for name in tensors if shards[name] == shard}
        safetensors.numpy.save_file(part, tmp_path / shard)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    expected = np.load(folder / "expected.npz")
    model = GPT2Model.from_pretrained(tmp_path)
    assert relative_error(model(expected["token_ids"]), expected["logits"]) < 1e-5


def test_padding_on_either_side_changes_nothing():
    model = tiny()
    text = ids(1, 7)
    alone = np.asarray(model(text))
    for left, right in ((4, 0), (0, 5), (3, 2)):
        padded = np.pad(text, ((0, 0), (left, right)), constant_values=9)
        mask = np.pad(np.ones((1, 7), bool), ((0, 0), (left, right)))
        output = np.asarray(model(padded, padding_mask=mask))[:, left : left + 7]
        np.testing.assert_allclose(output, alone, rtol=1e-4, atol=1e-5)


def test_cached_logits_equal_the_full_forward_at_every_step():
    model = tiny()
    text = ids(3, 15)
    whole = np.asarray(model(text))
    cache = model.initial_cache(3, 20)
    logits, cache = model(text[:, :6], cache=cache, position=0)
    np.testing.assert_allclose(np.asarray(logits), whole[:, :6], atol=1e-4)
    for t in range(6, 15):
        logits, cache = model(text[:, t : t + 1], cache=cache, position=t)
        np.testing.assert_allclose(np.asarray(logits)[:, 0], whole[:, t], atol=1e-4)
    for t in (0, 6, 14):
        only = np.asarray(model(text, logits_at=np.int32(t)))
        assert only.shape == (3, 1, whole.shape[-1])
        np.testing.assert_allclose(only[:, 0], whole[:, t], atol=1e-5)


def test_no_token_sees_the_future():
    model = tiny()
    text = ids(1, 12)
    changed = text.copy()
    changed[0, 8:] = (changed[0, 8:] + 1) % 50
    before, after = np.asarray(model(text)), np.asarray(model(changed))
    np.testing.assert_allclose(before[:, :8], after[:, :8], atol=1e-6)
    assert np.abs(before[:, 8:] - after[:, 8:]).max() > 1e-2


def test_attention_weights_on_request():
    model = tiny()
    logits, attention = model(ids(2, 6), return_attention=True)
    assert [weights.shape for weights in attention] == [(2, 2, 6, 6)] * 2
    np.testing.assert_array_equal(np.asarray(logits), np.asarray(model(ids(2, 6))))


def test_parameters_of_the_published_sizes():
    # 124M, 355M, 774M and 1.6B: counted from the sizes as in Radford et al. 2019 with tied output.
    def count(layers, width, vocabulary=50257, context=1024):
        block = 4 * width * width + 4 * width + 8 * width * width + 5 * width + 4 * width
        return (vocabulary + context) * width + layers * block + 2 * width

    assert count(12, 768) == 124_439_808
    assert count(48, 1600) == 1_557_611_200
    for name, layers, width in (("gpt2", 12, 768), ("gpt2-medium", 24, 1024)):
        sizes = PRESETS[name]
        assert (sizes["num_layers"], sizes["hidden_dim"]) == (layers, width)
    small = GPT2Model.from_preset("nano")
    assert small.count_params() == count(4, 128, 2048, 128)


def test_variables_have_paths_of_their_own():
    paths = [variable.path for variable in tiny().variables]
    assert len(set(paths)) == len(paths)
    assert any(path.endswith("/block_1/attention/query/kernel") for path in paths)


def test_presets_and_overrides():
    model = GPT2Model.from_preset("nano", context_length=32, dropout=0.0)
    assert (model.context_length, model.num_layers) == (32, 4)
    with pytest.raises(ValueError, match="preset='gpt-2' is not known"):
        GPT2Model.from_preset("gpt-2")


def test_a_saved_model_loads_in_a_fresh_process(tmp_path):
    import subprocess
    import sys

    model = tiny()
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "logits.npy", np.asarray(model(ids(2, 5))))
    np.save(tmp_path / "ids.npy", ids(2, 5))
    code = (
        "import keras, numpy as np, keras_llm.models.gpt2; "
        f"m = keras.saving.load_model({str(tmp_path / 'model.keras')!r}); "
        f"x, y = np.load({str(tmp_path / 'ids.npy')!r}), np.load({str(tmp_path / 'logits.npy')!r}); "
        "np.testing.assert_array_equal(np.asarray(m(x)), y)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_mixed_precision_keeps_float32_weights():
    model = tiny()
    mixed = GPT2Model.from_config({**model.get_config(), "dtype": "mixed_bfloat16"})
    mixed.set_weights(model.get_weights())
    token_ids = ids(2, 9)
    assert {keras.backend.standardize_dtype(v.dtype) for v in mixed.trainable_variables} == {"float32"}
    logits = np.asarray(keras.ops.cast(mixed(token_ids), "float32"))
    assert relative_error(logits, model(token_ids)) < 0.05
    cache = mixed.initial_cache(2, 9)
    assert keras.backend.standardize_dtype(cache[0][0].dtype) == "bfloat16"


# What is wrong is told


def copy_of(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    return folder


def test_too_long_an_input_is_refused():
    with pytest.raises(ValueError, match="25 tokens are more than context_length=24"):
        tiny()(ids(1, 25))


@pytest.mark.parametrize("place", [-1, 5])
def test_logits_of_a_place_that_is_not_there_are_refused(place):
    with pytest.raises(ValueError, match=f"logits_at={place} is not one of 5 tokens"):
        tiny()(ids(1, 5), logits_at=place)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        GPT2Model.from_pretrained(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        GPT2Model.from_pretrained(tmp_path)


def test_a_truncated_file_is_named(tmp_path):
    folder = copy_of("gpt2_odd", tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        GPT2Model.from_pretrained(folder)


def test_a_missing_or_misshapen_tensor_is_named(tmp_path):
    folder = copy_of("gpt2_odd", tmp_path)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    name = "transformer.h.1.mlp.c_fc.weight"
    safetensors.numpy.save_file({**tensors, name: tensors[name][:, :-1].copy()}, folder / "model.safetensors")
    with pytest.raises(
        ValueError, match=r"h\.1\.mlp\.c_fc\.weight has shape \(30, 119\), the model needs \(30, 120\)"
    ):
        GPT2Model.from_pretrained(folder)
    del tensors[name]
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    with pytest.raises(ValueError, match=r"lacks 1 of the model's tensors: h\.1\.mlp\.c_fc\.weight"):
        GPT2Model.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"activation_function": "mish"}, "the activation 'mish' is not known"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx=True"),
        ({"model_type": "bert"}, "model_type='bert'"),
    ],
)
def test_variants_that_are_not_computed_are_refused(change, message, tmp_path):
    folder = copy_of("gpt2_odd", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(ValueError, match=message):
        GPT2Model.from_pretrained(folder)


def test_pickled_weights_are_refused_with_the_way_out(tmp_path):
    folder = copy_of("gpt2_odd", tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match=r"a pickle can run code(.|\n)*save_pretrained"):
        GPT2Model.from_pretrained(folder)


@pytest.mark.peer
def test_transformers_reads_what_is_written_here(tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    model = tiny(activation="gelu", epsilon=1e-4)
    model.save_pretrained(tmp_path)
    theirs, loading = transformers.GPT2LMHeadModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]
    token_ids = ids(2, 11)
    with torch.no_grad():
        logits = theirs.eval()(torch.tensor(token_ids.astype("int64"))).logits.numpy()
    assert relative_error(model(token_ids), logits) < 1e-5
