"""BERT and its heads against what transformers computed (tests/fixtures), and against themselves."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

import keras
import numpy as np
import pytest
import safetensors.numpy

from keras_llm.datasets.batches import PaddedBatches
from keras_llm.models.bert import (
    PRESETS,
    BertClassifier,
    BertEncoder,
    BertMaskedLM,
    BertNextSentence,
    BertQuestionAnswerer,
    BertSentenceEmbedder,
    BertTokenClassifier,
)
from keras_llm.training.losses import SquaredError, TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
CHECKPOINTS = {
    "bert_encoder": BertEncoder,
    "bert_variant": BertEncoder,
    "bert_masked_lm": BertMaskedLM,
    "bert_next_sentence": BertNextSentence,
    "bert_classifier": BertClassifier,
    "bert_tagger": BertTokenClassifier,
    "bert_answerer": BertQuestionAnswerer,
}
MODELS = [*dict.fromkeys(CHECKPOINTS.values()), BertSentenceEmbedder]
SIZES = {
    "vocabulary_size": 50,
    "context_length": 24,
    "hidden_dim": 16,
    "num_layers": 2,
    "num_heads": 2,
    "inner_dim": 40,
    "dropout": 0.0,
}


def tiny(model_class=BertEncoder, dtype="float32", **overrides):
    """A model far from its initial values, the same on every backend."""
    encoder = BertEncoder(**{**SIZES, **overrides}, dtype=dtype)
    model = encoder if model_class is BertEncoder else model_class(encoder)
    for i, variable in enumerate(model.trainable_variables):
        noise = np.random.default_rng(i).normal(size=variable.shape, scale=0.2)
        variable.assign(noise + variable.path.endswith("gamma"))
    return model


def ids(*shape, high=50):
    return np.random.default_rng(sum(shape)).integers(1, high, shape).astype("int32")


def batch():
    """Pairs of texts of three lengths, padded with tokens that are not [PAD]."""
    places = np.arange(12)
    return {
        "token_ids": ids(3, 12),
        "segment_ids": (places >= np.array([[4], [6], [2]])).astype("int32"),
        "padding_mask": places < np.array([[12], [9], [5]]),
    }


def output(model, inputs):
    """The model's one output as NumPy array: the tokens' first, `[batch, T, ...]`, or the texts' `[batch, ...]`."""
    result = model(inputs)
    if isinstance(model, BertEncoder):
        result = result["sequence_output"]
    result = np.asarray(keras.ops.cast(result, "float32"))
    return result.transpose(0, 2, 1) if isinstance(model, BertQuestionAnswerer) else result


def at_real_tokens(array, mask):
    return array[mask] if array.shape[:2] == mask.shape else array


def outputs_by_their_names(model, inputs):
    result = model(inputs)
    if isinstance(model, BertEncoder):
        result = {
            "last_hidden_state": result["sequence_output"],
            "pooler_output": result["pooled_output"],
        }
    elif isinstance(model, BertQuestionAnswerer):
        result = {"start_logits": result[:, 0], "end_logits": result[:, 1]}
    else:
        result = {"logits": result}
    return {name: np.asarray(value) for name, value in result.items()}


def relative_error(ours, theirs):
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def assert_as_expected(model, name):
    expected = np.load(FIXTURES / name / "expected.npz")
    inputs = {key: expected[key] for key in ("token_ids", "segment_ids", "padding_mask")}
    ours = outputs_by_their_names(model, inputs)
    assert set(ours) == set(expected) - set(inputs)
    for key, value in ours.items():
        mask = inputs["padding_mask"]
        assert relative_error(at_real_tokens(value, mask), at_real_tokens(expected[key], mask)) < 1e-5


def copy_of(name, tmp_path):
    folder = tmp_path / name
    shutil.copytree(FIXTURES / name, folder)
    return folder


def change_config(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def change_tensors(folder, change):
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    safetensors.numpy.save_file(change(tensors), folder / "model.safetensors")


# Checkpoints


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_outputs_equal_those_of_transformers(name):
    assert_as_expected(CHECKPOINTS[name].from_pretrained(FIXTURES / name), name)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_export_holds_the_same_bits_and_reads_back(name, tmp_path):
    model = CHECKPOINTS[name].from_pretrained(FIXTURES / name)
    model.save_pretrained(tmp_path)
    theirs = safetensors.numpy.load_file(FIXTURES / name / "model.safetensors")
    ours = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert set(theirs) == set(ours)
    for tensor in ours:
        np.testing.assert_array_equal(ours[tensor], theirs[tensor])
    config, original = (
        json.loads((folder / "config.json").read_text()) for folder in (tmp_path, FIXTURES / name)
    )
    for key in (
        "architectures",
        "model_type",
        "vocab_size",
        "max_position_embeddings",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "type_vocab_size",
        "hidden_act",
        "layer_norm_eps",
        "hidden_dropout_prob",
    ):
        assert config[key] == original[key]
    again = CHECKPOINTS[name].from_pretrained(tmp_path)
    np.testing.assert_array_equal(output(again, ids(2, 9)), output(model, ids(2, 9)))


def test_names_of_classes_are_kept(tmp_path):
    model = BertClassifier.from_pretrained(FIXTURES / "bert_classifier")
    assert model.labels == ["bad", "so-so", "good"]
    model.save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "so-so", "2": "good"}
    assert config["label2id"] == {"bad": 0, "so-so": 1, "good": 2}
    assert BertClassifier.from_pretrained(tmp_path).labels == ["bad", "so-so", "good"]
    assert BertTokenClassifier.from_pretrained(FIXTURES / "bert_tagger").num_classes == 5


def test_more_than_ten_classes_keep_their_order(tmp_path):
    labels = [f"class {i}" for i in range(12)]
    BertTokenClassifier(tiny(), num_classes=12, labels=labels).save_pretrained(tmp_path)
    assert BertTokenClassifier.from_pretrained(tmp_path).labels == labels


def test_sharded_checkpoints_are_read(tmp_path):
    folder = copy_of("bert_masked_lm", tmp_path)
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    shards = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(tensors)}
    for shard in set(shards.values()):
        part = {name: tensors[name] for name in tensors if shards[name] == shard}
        safetensors.numpy.save_file(part, folder / shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    assert_as_expected(BertMaskedLM.from_pretrained(folder), "bert_masked_lm")


@pytest.mark.parametrize("name", ["bert_encoder", "bert_classifier"])
def test_old_names_and_both_prefixes_are_read(name, tmp_path):
    def old_name(tensor):
        bare = tensor.removeprefix("bert.")
        bare = bare.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        is_head = bare.startswith("classifier")
        return bare if is_head or tensor.startswith("bert.") else f"bert.{bare}"  # the prefix not used so far

    folder = copy_of(name, tmp_path)
    change_tensors(folder, lambda tensors: {old_name(key): value for key, value in tensors.items()})
    assert "encoder.layer.0.output.LayerNorm.gamma" in " ".join(
        safetensors.numpy.load_file(folder / "model.safetensors")
    )
    assert_as_expected(CHECKPOINTS[name].from_pretrained(folder), name)


def test_the_encoder_of_any_checkpoint_is_read():
    inputs = {"token_ids": ids(2, 9), "segment_ids": np.ones((2, 9), "int32")}
    for name, model_class in CHECKPOINTS.items():
        encoder = BertEncoder.from_pretrained(FIXTURES / name)
        model = model_class.from_pretrained(FIXTURES / name)
        expected = getattr(model, "encoder", model)(inputs)["sequence_output"]
        np.testing.assert_array_equal(np.asarray(encoder(inputs)["sequence_output"]), np.asarray(expected))
        has_pooler = name not in ("bert_masked_lm", "bert_tagger", "bert_answerer")
        assert (encoder.pooler is not None) == has_pooler


def test_overrides_reach_the_encoder():
    model = BertClassifier.from_pretrained(FIXTURES / "bert_classifier", dropout=0.3, dtype="bfloat16")
    assert model.encoder.dropout_rate == model.dropout.rate == 0.3
    assert {keras.backend.standardize_dtype(v.dtype) for v in model.trainable_variables} == {"bfloat16"}


@pytest.mark.parametrize("name", ["bert_encoder", "bert_masked_lm"])  # with a pooler, and without
def test_a_new_head_on_a_pretrained_encoder(name):
    keras.utils.set_random_seed(0)
    model = BertClassifier.from_pretrained(FIXTURES / name, head="new", num_classes=4)
    pretrained = BertEncoder.from_pretrained(FIXTURES / name)
    np.testing.assert_array_equal(output(model.encoder, ids(2, 9)), output(pretrained, ids(2, 9)))
    assert output(model, ids(2, 9)).shape == (2, 4)
    assert model.labels == ["LABEL_0", "LABEL_1", "LABEL_2", "LABEL_3"]
    kernel = np.asarray(model.output_layer.kernel)
    assert 0.01 < kernel.std() < 0.03 and not np.asarray(model.output_layer.bias).any()
    pooler = np.asarray(model.encoder.pooler.kernel)
    if pretrained.pooler is None:
        assert 0.01 < pooler.std() < 0.03
    else:
        np.testing.assert_array_equal(pooler, np.asarray(pretrained.pooler.kernel))


def test_a_new_head_takes_no_labels_from_the_old_task():
    model = BertClassifier.from_pretrained(
        FIXTURES / "bert_classifier", head="new", num_classes=2, labels=["no", "yes"]
    )
    assert model.labels == ["no", "yes"]
    old = safetensors.numpy.load_file(FIXTURES / "bert_classifier" / "model.safetensors")["classifier.weight"]
    assert np.abs(np.asarray(model.output_layer.kernel).T - old[:2]).min() > 0


# Inputs


@pytest.mark.parametrize("model_class", MODELS)
def test_padding_changes_nothing(model_class):
    model = tiny(model_class)
    text = ids(1, 7)
    segments = np.array([[0, 0, 0, 1, 1, 1, 1]], "int32")
    alone = output(model, {"token_ids": text, "segment_ids": segments})
    mask = np.arange(12)[None, :] < 7
    for pad, pad_segment in ((0, 0), (9, 1)):
        inputs = {
            "token_ids": np.pad(text, ((0, 0), (0, 5)), constant_values=pad),
            "segment_ids": np.pad(segments, ((0, 0), (0, 5)), constant_values=pad_segment),
            "padding_mask": mask,
        }
        padded = output(model, inputs)
        padded = padded[:, :7] if padded.shape[:2] == mask.shape else padded
        np.testing.assert_allclose(padded, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model_class", MODELS)
def test_what_stands_for_inputs_that_are_not_given(model_class):
    model = tiny(model_class)
    token_ids = ids(2, 8)
    token_ids[0, 5:] = 0
    given = {
        "token_ids": token_ids,
        "segment_ids": np.zeros((2, 8), "int32"),
        "padding_mask": np.array([[True] * 5 + [False] * 3, [True] * 8]),
    }
    expected = output(model, given)
    np.testing.assert_array_equal(output(model, token_ids), expected)
    np.testing.assert_array_equal(output(model, {"token_ids": token_ids}), expected)
    everything = output(model, {**given, "padding_mask": np.ones((2, 8), bool)})
    assert np.abs(everything[0] - expected[0]).max() > 1e-3  # so the mask does matter
    second = output(model, {**given, "segment_ids": np.ones((2, 8), "int32")})
    assert np.abs(second - expected).max() > 1e-3


def test_masked_positions_select_from_the_full_logits():
    model = tiny(BertMaskedLM)
    inputs = batch()
    positions = np.array([[1, 7, 11], [0, 0, 8], [4, 2, 3]], "int32")
    full = output(model, inputs)
    selected = output(model, {**inputs, "masked_positions": positions})
    expected = np.stack([full[row, positions[row]] for row in range(3)])
    np.testing.assert_allclose(selected, expected, rtol=1e-5, atol=1e-5)


def test_attention_weights_on_request():
    encoder, inputs = tiny(), batch()
    outputs = encoder(inputs, return_attention=True)
    assert [weights.shape for weights in outputs["attention"]] == [(3, 2, 12, 12)] * 2
    for weights in map(np.asarray, outputs["attention"]):
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
        padding = np.broadcast_to(~inputs["padding_mask"][:, None, None, :], weights.shape)
        assert not weights[padding].any()
        assert weights[~padding].min() > 0
    np.testing.assert_array_equal(np.asarray(outputs["sequence_output"]), output(encoder, inputs))


def test_a_pooler_only_where_it_was_asked_for():
    assert set(tiny()(ids(1, 5))) == {"sequence_output", "pooled_output"}
    assert set(tiny(pooler=False)(ids(1, 5))) == {"sequence_output"}


def test_heads_have_the_shapes_they_tell():
    inputs = batch()
    assert tiny(BertNextSentence)(inputs).shape == (3, 2)
    assert tiny(BertClassifier)(inputs).shape == (3, 2)
    assert tiny(BertTokenClassifier)(inputs).shape == (3, 12, 2)
    assert tiny(BertQuestionAnswerer)(inputs).shape == (3, 2, 12)
    assert tiny(BertMaskedLM)(inputs).shape == (3, 12, 50)
    assert BertClassifier(tiny(), num_classes=1)(inputs).shape == (3, 1)


# Sentence vectors


def test_sentence_vectors_are_means_of_real_tokens_with_length_one():
    model, inputs = tiny(BertSentenceEmbedder), batch()
    tokens = output(model.encoder, inputs)
    vectors = output(model, inputs)
    for row, length in enumerate((12, 9, 5)):
        mean = tokens[row, :length].mean(axis=0)
        np.testing.assert_allclose(vectors[row], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1, rtol=1e-5)


def test_sentence_vectors_of_the_first_token():
    model, inputs = BertSentenceEmbedder(tiny(), pooling="cls"), batch()
    first = output(model.encoder, inputs)[:, 0]
    expected = first / np.linalg.norm(first, axis=-1, keepdims=True)
    np.testing.assert_allclose(output(model, inputs), expected, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_pooling_is_written_and_read(pooling, tmp_path):
    model = BertSentenceEmbedder(tiny(), pooling=pooling)
    model.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert written["word_embedding_dimension"] == 16
    assert written["pooling_mode_mean_tokens"] == (pooling == "mean")
    assert written["pooling_mode_cls_token"] == (pooling == "cls")
    again = BertSentenceEmbedder.from_pretrained(tmp_path)
    assert again.pooling == pooling
    np.testing.assert_array_equal(output(again, batch()), output(model, batch()))


@pytest.mark.parametrize("modes", [["max_tokens"], ["mean_tokens", "cls_token"], []])
def test_other_poolings_are_refused(modes, tmp_path):
    folder = copy_of("bert_encoder", tmp_path)
    names = ("cls_token", "mean_tokens", "max_tokens", "mean_sqrt_len_tokens")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps({f"pooling_mode_{name}": name in modes for name in names})
    )
    with pytest.raises(ValueError, match=r"1_Pooling/config\.json asks for"):
        BertSentenceEmbedder.from_pretrained(folder)


# Sizes, saving, precision, training


def test_parameters_of_the_published_sizes():
    def count(layers, width, vocabulary=30522, inner=None):
        inner = inner or 4 * width
        embeddings = (vocabulary + 512 + 2) * width + 2 * width
        attention = 4 * (width * width + width) + 2 * width
        feed_forward = width * inner + inner + inner * width + width + 2 * width
        return embeddings + layers * (attention + feed_forward) + width * width + width

    published = {  # as transformers counts its BertModel in each of these sizes
        "tiny": 4_385_920,
        "mini": 11_170_560,
        "small": 28_763_648,
        "medium": 41_373_184,
        "bert-base-uncased": 109_482_240,
        "bert-large-uncased": 335_141_888,
        "bert-base-chinese": 102_267_648,
        "minilm-l6": 22_713_216,
    }
    assert set(PRESETS) == set(published)
    for name, sizes in PRESETS.items():
        vocabulary = sizes.get("vocabulary_size", 30522)
        assert count(sizes["num_layers"], sizes["hidden_dim"], vocabulary) == published[name]
    for name in ("tiny", "mini"):
        assert BertEncoder.from_preset(name).count_params() == published[name]
    assert tiny().count_params() == count(2, 16, vocabulary=50, inner=40) - (512 - 24) * 16
    head = tiny(BertMaskedLM).count_params() - tiny().count_params()
    assert head == 16 * 16 + 16 + 2 * 16 + 50


def test_presets_and_overrides():
    encoder = BertEncoder.from_preset("tiny", vocabulary_size=100, context_length=32)
    assert (encoder.vocabulary_size, encoder.context_length, encoder.hidden_dim) == (100, 32, 128)
    with pytest.raises(ValueError, match="preset='bert-base' is not known"):
        BertEncoder.from_preset("bert-base")


def test_narrow_models_begin_with_larger_weights(tmp_path):
    for preset, expected in (("tiny", 0.08), ("minilm-l6", 0.02)):
        encoder = BertEncoder.from_preset(preset, vocabulary_size=500, num_layers=1)
        kernel = np.asarray(encoder.blocks[0].feed_forward.inner.kernel)
        # a normal distribution cut at two standard deviations, which makes it narrower by a factor of 0.88
        assert kernel.std() == pytest.approx(0.88 * expected, rel=0.02)
    encoder = BertEncoder(**{**SIZES, "initializer_range": 0.5})
    encoder.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["initializer_range"] == 0.5
    classifier = BertClassifier.from_pretrained(tmp_path, head="new", num_classes=400)
    assert np.asarray(classifier.output_layer.kernel).std() == pytest.approx(0.44, rel=0.05)


def test_variables_have_paths_of_their_own():
    for model_class in MODELS:
        paths = [variable.path for variable in tiny(model_class).variables]
        assert len(set(paths)) == len(paths)
    assert any(path.endswith("/block_1/attention/query/kernel") for path in paths)


def test_saved_models_load_in_a_fresh_process(tmp_path):
    inputs = batch()
    expected = {}
    for model_class in MODELS:
        model = tiny(model_class)
        if model_class is BertClassifier:
            model = BertClassifier(tiny(), num_classes=3, labels=["a", "b", "c"])
        model.save(tmp_path / f"{model_class.__name__}.keras")
        expected[model_class.__name__] = np.asarray(
            model(inputs)["pooled_output"] if model_class is BertEncoder else model(inputs)
        )
    np.savez(tmp_path / "expected.npz", **expected)
    np.savez(tmp_path / "inputs.npz", **inputs)
    code = f"""
import keras, numpy as np, keras_llm.models.bert
inputs = dict(np.load({str(tmp_path / "inputs.npz")!r}))
expected = np.load({str(tmp_path / "expected.npz")!r})
for name in expected:
    model = keras.saving.load_model({str(tmp_path)!r} + "/" + name + ".keras")
    outputs = model(inputs)
    outputs = outputs["pooled_output"] if name == "BertEncoder" else outputs
    np.testing.assert_array_equal(np.asarray(outputs), expected[name])
    if name == "BertClassifier":
        assert model.labels == ["a", "b", "c"]
print(len(expected), "models")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"{len(MODELS)} models", done.stderr[-2000:]


@pytest.mark.parametrize("model_class", MODELS)
def test_mixed_precision_keeps_float32_weights(model_class):
    model, mixed = tiny(model_class), tiny(model_class, dtype="mixed_bfloat16")
    assert {keras.backend.standardize_dtype(v.dtype) for v in mixed.trainable_variables} == {"float32"}
    assert mixed.compute_dtype == "bfloat16"
    inputs = batch()
    mask = inputs["padding_mask"]
    ours, full = (at_real_tokens(output(each, inputs), mask) for each in (mixed, model))
    assert 0 < relative_error(ours, full) < 0.05


def labels_of(model_class, inputs):
    """The inputs, and labels to learn by heart."""
    token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
    if model_class is BertMaskedLM:
        positions = np.tile(np.array([1, 2, 4], "int32"), (len(token_ids), 1))
        return {**inputs, "masked_positions": positions}, np.take_along_axis(token_ids, positions, 1)
    if model_class is BertTokenClassifier:
        return inputs, np.where(mask, token_ids % 2, -100)
    if model_class is BertQuestionAnswerer:
        return inputs, np.array([[1, 3], [4, 6], [2, 2]], "int32")
    return inputs, np.array([0, 1, 1], "int32")


@pytest.mark.parametrize(
    ("model_class", "jit_compile"),
    [
        (BertMaskedLM, True),
        (BertClassifier, True),
        (BertTokenClassifier, False),
        (BertQuestionAnswerer, False),
    ],
)
def test_training_lowers_the_loss(model_class, jit_compile):
    keras.utils.set_random_seed(1)
    sizes = {**SIZES, "num_layers": 1, "dropout": 0.1}
    model = model_class(BertEncoder(**sizes, pooler=model_class.needs_pooler))
    inputs, labels = labels_of(model_class, batch())
    loss = TokenCrossEntropy()
    if model_class is BertClassifier:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss, jit_compile=jit_compile)
    history = model.fit(inputs, labels, batch_size=3, epochs=40, verbose=0).history["loss"]
    assert history[-1] < 0.5 * history[0]


# What is wrong is told


def test_regression_learns_numbers_also_from_a_batch_that_is_filled_up():
    texts = [[2, 5, 3], [2, 6, 3], [2, 7, 3]]
    batches = PaddedBatches({"token_ids": texts}, np.array([0.0, 1.0, 2.0], "float32"), batch_size=2)
    keras.utils.set_random_seed(0)
    model = BertClassifier(BertEncoder(20, 16, 16, 1, 2, dropout=0.0), num_classes=1)
    model.compile(AdamW(1e-2), SquaredError())
    model.fit(batches.stream(), steps_per_epoch=batches.steps_per_epoch, epochs=40, shuffle=False, verbose=0)
    np.testing.assert_allclose(np.ravel(model(np.array(texts))), [0.0, 1.0, 2.0], atol=0.2)


def test_a_classifier_of_the_mean_and_its_checkpoint_that_transformers_cannot_misread(
    tmp_path,
):
    model = BertClassifier(tiny(pooler=False), num_classes=3, pooling="mean")
    token_ids = np.array([[2, 5, 6, 3, 0, 0], [2, 7, 3, 0, 0, 0]])
    x = keras.ops.convert_to_numpy(model.encoder(token_ids)["sequence_output"])
    means = np.stack([x[0, :4].mean(0), x[1, :3].mean(0)])
    kernel, bias = (keras.ops.convert_to_numpy(value) for value in model.output_layer.trainable_variables)
    expected = means @ kernel + bias
    np.testing.assert_allclose(model(token_ids), expected, atol=1e-5)

    model.save_pretrained(tmp_path)
    np.testing.assert_allclose(BertClassifier.from_pretrained(tmp_path)(token_ids), expected, atol=1e-5)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] != "bert"
    assert not (tmp_path / "1_Pooling").exists()
    BertTokenClassifier.from_pretrained(tmp_path, head="new")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(model))
    assert again.pooling == "mean"
    with pytest.raises(ValueError, match=r"pooling must be .* not 'max'"):
        BertClassifier(tiny(), pooling="max")


def test_too_long_an_input_is_refused():
    with pytest.raises(ValueError, match="25 tokens are more than context_length=24"):
        tiny()(ids(1, 25))
    with pytest.raises(ValueError, match="25 tokens are more than context_length=24"):
        tiny(BertClassifier)({"token_ids": ids(1, 25)})


def test_unknown_inputs_are_named():
    for model_class in (BertEncoder, BertClassifier):
        with pytest.raises(ValueError, match=r"inputs must have token_ids.*'attention_mask'"):
            tiny(model_class)({"token_ids": ids(1, 5), "attention_mask": np.ones((1, 5), bool)})
    with pytest.raises(ValueError, match="inputs must have token_ids"):
        tiny()({"padding_mask": np.ones((1, 5), bool)})
    with pytest.raises(ValueError, match="masked_positions"):
        tiny(BertClassifier)({"token_ids": ids(1, 5), "masked_positions": ids(1, 2)})


def test_arguments_that_do_not_fit_are_named():
    for model_class in (BertClassifier, BertNextSentence):
        with pytest.raises(ValueError, match=f"{model_class.__name__} needs an encoder with pooler=True"):
            model_class(tiny(pooler=False))
    with pytest.raises(ValueError, match="labels has 2 names for num_classes=3"):
        BertTokenClassifier(tiny(), num_classes=3, labels=["a", "b"])
    with pytest.raises(ValueError, match=r"pooling must be .* not 'max'"):
        BertSentenceEmbedder(tiny(), pooling="max")
    with pytest.raises(ValueError, match="activation='swiglu' is not known"):
        BertEncoder(**SIZES, activation="swiglu")
    with pytest.raises(ValueError, match=r"head must be .* not 'fresh'"):
        BertClassifier.from_pretrained(FIXTURES / "bert_encoder", head="fresh")


@pytest.mark.parametrize(
    ("name", "model_class"),
    [
        ("bert_encoder", BertMaskedLM),
        ("bert_encoder", BertNextSentence),
        ("bert_encoder", BertClassifier),
        ("bert_encoder", BertQuestionAnswerer),
        ("bert_answerer", BertTokenClassifier),
        ("bert_classifier", BertTokenClassifier),  # whose head has the same name
    ],
)
def test_a_checkpoint_without_the_head_is_refused(name, model_class):
    theirs = CHECKPOINTS[name].architecture
    message = rf"has no head for {model_class.__name__} \({model_class.architecture}\); it is a {theirs}"
    with pytest.raises(ValueError, match=message + r'.*head="new" makes a fresh one'):
        model_class.from_pretrained(FIXTURES / name)


def test_a_missing_head_is_told_before_the_number_of_classes():
    with pytest.raises(ValueError, match="has no head for BertClassifier"):
        BertClassifier.from_pretrained(FIXTURES / "bert_encoder", num_classes=3)


def test_a_tagger_is_no_classifier_even_with_a_pooler(tmp_path):
    folder = copy_of("bert_tagger", tmp_path)
    pooler = {"bert.pooler.dense.weight": np.eye(20), "bert.pooler.dense.bias": np.zeros(20)}
    pooler = {name: tensor.astype("float32") for name, tensor in pooler.items()}
    change_tensors(folder, lambda tensors: {**tensors, **pooler})
    with pytest.raises(ValueError, match=r"no head for BertClassifier.*it is a BertForTokenClassification"):
        BertClassifier.from_pretrained(folder)
    model = BertClassifier.from_pretrained(folder, head="new")
    np.testing.assert_array_equal(np.asarray(model.encoder.pooler.kernel), np.eye(20, dtype="float32"))


def test_a_missing_pooler_or_head_tensor_is_named(tmp_path):
    folder = copy_of("bert_classifier", tmp_path)
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if "pooler" not in k})
    with pytest.raises(
        ValueError, match=r'has no pooler, which BertClassifier needs; head="new" makes a fresh one'
    ):
        BertClassifier.from_pretrained(folder)
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != "classifier.bias"})
    with pytest.raises(ValueError, match=r"no head for BertClassifier.*it lacks classifier\.bias"):
        BertClassifier.from_pretrained(folder)


def test_another_number_of_classes_needs_a_new_head():
    with pytest.raises(ValueError, match="labels has 3 names for num_classes=4"):
        BertClassifier.from_pretrained(FIXTURES / "bert_classifier", num_classes=4)


def test_an_output_layer_of_its_own_is_refused(tmp_path):
    folder = copy_of("bert_masked_lm", tmp_path)
    embeddings = "bert.embeddings.word_embeddings.weight"
    decoder = "cls.predictions.decoder.weight"
    change_tensors(folder, lambda tensors: {**tensors, decoder: tensors[embeddings].copy()})
    assert_as_expected(BertMaskedLM.from_pretrained(folder), "bert_masked_lm")
    change_tensors(folder, lambda tensors: {**tensors, decoder: tensors[decoder] + 1})
    with pytest.raises(ValueError, match="not tied to the word embeddings"):
        BertMaskedLM.from_pretrained(folder)


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        BertEncoder.from_pretrained(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        BertEncoder.from_pretrained(tmp_path)
    shutil.copy(FIXTURES / "bert_encoder" / "config.json", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"has no model\.safetensors"):
        BertEncoder.from_pretrained(tmp_path)


def test_a_truncated_file_is_named(tmp_path):
    folder = copy_of("bert_encoder", tmp_path)
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"model\.safetensors is not a complete safetensors file"):
        BertEncoder.from_pretrained(folder)


def test_a_missing_or_misshapen_tensor_is_named(tmp_path):
    folder = copy_of("bert_encoder", tmp_path)
    name = "encoder.layer.1.intermediate.dense.weight"
    change_tensors(folder, lambda tensors: {**tensors, name: tensors[name][:-1].copy()})
    with pytest.raises(ValueError, match=re.escape(f"{name} has shape (20, 35), the model needs (20, 36)")):
        BertEncoder.from_pretrained(folder)
    change_tensors(folder, lambda tensors: {k: v for k, v in tensors.items() if k != name})
    with pytest.raises(ValueError, match=f"lacks 1 of the model's tensors: {re.escape(name)}"):
        BertEncoder.from_pretrained(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": "mish"}, "the activation 'mish' is not known"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"model_type": "roberta"}, "model_type='roberta'"),
    ],
)
def test_variants_that_are_not_computed_are_refused(change, message, tmp_path):
    folder = copy_of("bert_encoder", tmp_path)
    change_config(folder, **change)
    with pytest.raises(ValueError, match=message):
        BertEncoder.from_pretrained(folder)


def test_a_config_without_sizes_is_refused(tmp_path):
    folder = copy_of("bert_encoder", tmp_path)
    (folder / "config.json").write_text('{"model_type": "bert", "vocab_size": 53}')
    with pytest.raises(ValueError, match="the config lacks 'max_position_embeddings'"):
        BertEncoder.from_pretrained(folder)


@pytest.mark.parametrize("name", ["bert_encoder", "bert_masked_lm", "bert_classifier"])
def test_pickled_weights_are_refused_with_the_way_out(name, tmp_path):
    folder = copy_of(name, tmp_path)
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    theirs = CHECKPOINTS[name].architecture
    with pytest.raises(
        ValueError, match=rf"a pickle can run code(.|\n)*import {theirs} as M(.|\n)*save_pretrained"
    ):
        CHECKPOINTS[name].from_pretrained(folder)
    change_config(folder, architectures=None)
    with pytest.raises(ValueError, match="import AutoModel as M"):
        CHECKPOINTS[name].from_pretrained(folder)


@pytest.mark.peer
@pytest.mark.parametrize("model_class", MODELS)
def test_transformers_reads_what_is_written_here(model_class, tmp_path):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    pooler = model_class in (BertEncoder, BertNextSentence, BertClassifier)
    model = tiny(model_class, activation="gelu_tanh", epsilon=1e-4, num_segments=3, pooler=pooler)
    model.save_pretrained(tmp_path)
    their_class = getattr(transformers, model.architecture)
    no_pooler = {"add_pooling_layer": False} if model_class is BertSentenceEmbedder else {}
    theirs, loading = their_class.from_pretrained(tmp_path, output_loading_info=True, **no_pooler)
    assert not loading["missing_keys"] and not loading["unexpected_keys"]

    inputs = batch()
    mask = inputs["padding_mask"]
    with torch.no_grad():
        expected = theirs.eval()(
            input_ids=torch.tensor(inputs["token_ids"].astype("int64")),
            token_type_ids=torch.tensor(inputs["segment_ids"].astype("int64")),
            attention_mask=torch.tensor(mask.astype("int64")),
        )
    expected = {name: value.numpy() for name, value in expected.items()}
    if model_class is BertSentenceEmbedder:
        means = [expected["last_hidden_state"][row][mask[row]].mean(axis=0) for row in range(3)]
        means = np.stack([mean / np.linalg.norm(mean) for mean in means])
        assert relative_error(output(model, inputs), means) < 1e-5
        return
    for name, value in outputs_by_their_names(model, inputs).items():
        assert relative_error(at_real_tokens(value, mask), at_real_tokens(expected[name], mask)) < 1e-5
