"""BERT and GPT-2 against KerasHub's, whose attention, blocks and embeddings are code of their own."""

import sys

import keras
import numpy as np
import pytest

from keras_llm.models.bert import BertEncoder
from keras_llm.models.gpt2 import GPT2Model

keras_hub = pytest.importorskip("keras_hub")

SIZES = {"vocabulary_size": 53, "hidden_dim": 20, "num_layers": 2, "num_heads": 5}
OURS = {**SIZES, "context_length": 22, "inner_dim": 36, "dropout": 0.2}
THEIRS = {**SIZES, "max_sequence_length": 22, "intermediate_dim": 36, "dropout": 0.2}


def bert(**overrides):
    return randomized(BertEncoder(**{**OURS, "num_segments": 3, "activation": "gelu_tanh", **overrides}))


def gpt2(**overrides):
    return randomized(GPT2Model(**{**OURS, **overrides}))


def bert_backbone():
    return randomized(keras_hub.models.BertBackbone(**THEIRS, num_segments=3))


def gpt2_backbone():
    return randomized(keras_hub.models.GPT2Backbone(**THEIRS))


def randomized(model):
    """Far from the initial values, where biases are zero and norms do nothing: every term counts."""
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape, scale=0.3) + variable.path.endswith("gamma"))
    return model


def batch():
    rng = np.random.default_rng(1)
    mask = np.arange(13) < np.array([[13], [9], [6]])
    return {
        "token_ids": rng.integers(1, 53, (3, 13)).astype("int32"),
        "segment_ids": rng.integers(0, 3, (3, 13)).astype("int32"),
        "padding_mask": mask.astype("int32"),
    }


def relative_error(ours, theirs):
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def assert_same_bert(encoder, backbone):
    inputs = batch()
    real = inputs["padding_mask"].astype(bool)
    ours, theirs = encoder(inputs), backbone(inputs)
    for name in ("sequence_output", "pooled_output"):
        where = real if name == "sequence_output" else slice(None)
        assert relative_error(np.asarray(ours[name])[where], np.asarray(theirs[name])[where]) < 1e-5


def assert_same_gpt2(model, backbone):
    inputs = batch()
    token_ids, mask = inputs["token_ids"], inputs["padding_mask"]
    hidden = np.asarray(backbone({"token_ids": token_ids, "padding_mask": mask}))
    logits = hidden @ np.asarray(backbone.token_embedding.embeddings).T
    ours = np.asarray(model(token_ids, padding_mask=mask.astype(bool)))
    real = mask.astype(bool)
    assert relative_error(ours[real], logits[real]) < 1e-5


def test_bert_from_keras_hub():
    backbone = bert_backbone()
    encoder = BertEncoder.from_keras_hub(backbone)
    assert_same_bert(encoder, backbone)
    config = encoder.get_config()
    assert {name: config[name] for name in OURS} == OURS
    assert (encoder.num_segments, encoder.activation, encoder.epsilon) == (3, "gelu_tanh", 1e-12)
    assert encoder.count_params() == backbone.count_params()


def test_bert_to_keras_hub():
    encoder = bert()
    backbone = encoder.to_keras_hub()
    assert isinstance(backbone, keras_hub.models.BertBackbone)
    assert_same_bert(encoder, backbone)
    config = backbone.get_config()
    assert {name: config[name] for name in THEIRS} == THEIRS


def test_gpt2_from_keras_hub():
    backbone = gpt2_backbone()
    model = GPT2Model.from_keras_hub(backbone)
    assert_same_gpt2(model, backbone)
    config = model.get_config()
    assert {name: config[name] for name in OURS} == OURS
    assert model.count_params() == backbone.count_params()


def test_gpt2_to_keras_hub():
    model = gpt2()
    backbone = model.to_keras_hub()
    assert isinstance(backbone, keras_hub.models.GPT2Backbone)
    assert_same_gpt2(model, backbone)
    config = backbone.get_config()
    assert {name: config[name] for name in THEIRS} == THEIRS


@pytest.mark.parametrize("model", [bert, gpt2])
def test_there_and_back_are_the_same_bits(model):
    original = model()
    again = type(original).from_keras_hub(original.to_keras_hub())
    for before, after in zip(original.trainable_variables, again.trainable_variables):
        np.testing.assert_array_equal(np.asarray(before), np.asarray(after))


@pytest.mark.parametrize(
    ("backbone", "model_class", "same"),
    [(bert_backbone, BertEncoder, assert_same_bert), (gpt2_backbone, GPT2Model, assert_same_gpt2)],
)
def test_a_folder_of_a_preset_is_read(backbone, model_class, same, tmp_path):
    theirs = backbone()
    theirs.save_to_preset(str(tmp_path / "preset"))
    same(model_class.from_keras_hub(str(tmp_path / "preset")), theirs)
    same(model_class.from_keras_hub(tmp_path / "preset"), theirs)


def test_overrides_replace_single_arguments():
    backbone = bert_backbone()
    encoder = BertEncoder.from_keras_hub(backbone, pooler=False, dropout=0.0)
    assert set(encoder(batch())) == {"sequence_output"}
    assert encoder.dropout_rate == 0.0
    with pytest.raises(ValueError, match=r"position_embedding/embeddings has shape \(30, 20\).*\(22, 20\)"):
        BertEncoder.from_keras_hub(backbone, context_length=30)


def test_the_precision_is_kept():
    backbone = keras_hub.models.GPT2Backbone(**THEIRS, dtype="bfloat16")
    model = GPT2Model.from_keras_hub(backbone)
    assert {keras.backend.standardize_dtype(variable.dtype) for variable in model.trainable_variables} == {
        "bfloat16"
    }
    mixed = bert(dtype="mixed_bfloat16").to_keras_hub()
    assert mixed.compute_dtype == "bfloat16"
    assert {variable.dtype for variable in mixed.trainable_variables} == {"float32"}
    assert BertEncoder.from_keras_hub(mixed, dtype="float32").compute_dtype == "float32"


def test_lora_is_part_of_what_is_read():
    backbone = gpt2_backbone()
    before = GPT2Model.from_keras_hub(backbone)
    backbone.enable_lora(2)
    randomized(backbone)  # the small matrices of LoRA are the trainable ones now
    model = GPT2Model.from_keras_hub(backbone)
    assert_same_gpt2(model, backbone)
    token_ids = batch()["token_ids"]
    assert relative_error(model(token_ids), before(token_ids)) > 1e-2


# What is wrong is told


def test_another_backbone_is_named():
    with pytest.raises(
        ValueError, match=r"BertEncoder reads a keras_hub\.models\.BertBackbone, not a GPT2Backbone"
    ):
        BertEncoder.from_keras_hub(gpt2_backbone())
    with pytest.raises(
        ValueError, match=r"GPT2Model reads a keras_hub\.models\.GPT2Backbone, not a BertBackbone"
    ):
        GPT2Model.from_keras_hub(bert_backbone())


def test_a_preset_of_another_backbone_is_named(tmp_path):
    bert_backbone().save_to_preset(str(tmp_path / "preset"))
    with pytest.raises(ValueError, match="not a BertBackbone"):
        GPT2Model.from_keras_hub(tmp_path / "preset")


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_backbone_is_refused():
    backbone = gpt2_backbone()
    backbone.quantize("int8")
    with pytest.raises(ValueError, match="quantized"):
        GPT2Model.from_keras_hub(backbone)


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"activation": "gelu"}, "this model has activation='gelu'"),
        ({"epsilon": 1e-5}, "this model has epsilon=1e-05"),
        ({"pooler": False}, "this model has pooler=False"),
    ],
)
def test_a_bert_that_keras_hub_cannot_express_is_refused(setting, told):
    with pytest.raises(ValueError, match=f"activation='gelu_tanh', epsilon=1e-12, pooler=True; {told}"):
        bert(**setting).to_keras_hub()


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"activation": "relu"}, "this model has activation='relu'"),
        ({"epsilon": 1e-6}, "this model has epsilon=1e-06"),
    ],
)
def test_a_gpt2_that_keras_hub_cannot_express_is_refused(setting, told):
    with pytest.raises(ValueError, match=f"activation='gelu_tanh', epsilon=1e-05; {told}"):
        gpt2(**setting).to_keras_hub()


def test_what_keras_hub_always_computes_is_still_so():
    # The table of fixed settings, against KerasHub's own layers.
    x = np.linspace(-3, 3, 7).astype("float32")
    for backbone, epsilon in ((bert_backbone(), 1e-12), (gpt2_backbone(), 1e-5)):
        layer = backbone.transformer_layers[0]
        tanh = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
        np.testing.assert_allclose(np.asarray(layer.activation(keras.ops.array(x))), tanh, atol=1e-6)
        assert layer.layer_norm_epsilon == epsilon


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(ImportError, match="pip install keras-nlp"):
        BertEncoder.from_keras_hub("bert_tiny_en_uncased")
    with pytest.raises(ImportError, match="pip install keras-nlp"):
        gpt2().to_keras_hub()
