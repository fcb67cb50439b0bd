"""The original TensorFlow checkpoints of BERT and GPT-2: fixtures, rewritten under the names that those had."""

import json
import pathlib
import re

import numpy as np
import pytest
import safetensors.numpy

from keras_llm.models.bert import BertClassifier, BertEncoder, BertMaskedLM, BertNextSentence
from keras_llm.models.gpt2 import GPT2Model

tf = pytest.importorskip("tensorflow")

FIXTURES = pathlib.Path(__file__).parent / "fixtures"


def write_checkpoint(prefix, tensors):
    """Writes a dict of name to array as `tf.compat.v1.train.Saver` does."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(tensor) for tensor in tensors.values()],
    )
    assert prefix.with_name(prefix.name + ".index").is_file()


def bert_checkpoint(name, folder):
    """A fixture in google-research/bert's layout, with the optimizer's slots and step that it had."""
    tensors = {"global_step": np.array(7, "int64")}
    for theirs, tensor in safetensors.numpy.load_file(FIXTURES / name / "model.safetensors").items():
        if theirs == "cls.seq_relationship.weight":
            original = "cls/seq_relationship/output_weights"  # [out, in], as in PyTorch
        elif theirs in ("cls.seq_relationship.bias", "cls.predictions.bias"):
            original = theirs.replace(".bias", "/output_bias").replace(".", "/")
        else:
            original = re.sub(r"\.layer\.(\d+)", r".layer_\1", theirs).replace(".", "/")
            original = original.replace("LayerNorm/weight", "LayerNorm/gamma")
            original = original.replace("LayerNorm/bias", "LayerNorm/beta")
            original = original.replace("_embeddings/weight", "_embeddings")
            if original.endswith("/weight"):
                original, tensor = original.removesuffix("weight") + "kernel", tensor.T
        tensors[original] = tensor
        tensors[f"{original}/adam_m"] = tensors[f"{original}/adam_v"] = np.full_like(tensor, 9.0)
    write_checkpoint(folder / "bert_model.ckpt", tensors)
    config = json.loads((FIXTURES / name / "config.json").read_text())
    kept = (
        "attention_probs_dropout_prob",
        "hidden_act",
        "hidden_dropout_prob",
        "hidden_size",
        "initializer_range",
        "intermediate_size",
        "max_position_embeddings",
        "num_attention_heads",
        "num_hidden_layers",
        "type_vocab_size",
        "vocab_size",
    )
    (folder / "bert_config.json").write_text(json.dumps({key: config[key] for key in kept}))
    return tensors


def gpt2_checkpoint(name, folder):
    """A fixture in openai/gpt-2's layout."""
    tensors = {}
    for theirs, tensor in safetensors.numpy.load_file(FIXTURES / name / "model.safetensors").items():
        original = re.sub(r"^transformer\.", "model.", theirs)
        original = re.sub(r"\.h\.(\d+)\.", r".h\1.", original).replace(".", "/")
        if original in ("model/wte/weight", "model/wpe/weight"):
            original = original.removesuffix("/weight")
        elif "/ln_" in original:
            original = original.replace("/weight", "/g").replace("/bias", "/b")
        else:
            original = original.replace("/weight", "/w").replace("/bias", "/b")
            tensor = tensor[None] if original.endswith("/w") else tensor  # [1, in, out]: convolutions
        tensors[original] = tensor
    write_checkpoint(folder / "model.ckpt", tensors)
    config = json.loads((FIXTURES / name / "config.json").read_text())
    names = {
        "n_vocab": "vocab_size",
        "n_ctx": "n_positions",
        "n_embd": "n_embd",
        "n_head": "n_head",
        "n_layer": "n_layer",
    }
    (folder / "hparams.json").write_text(json.dumps({key: config[name] for key, name in names.items()}))
    return tensors


def relative_error(ours, theirs):
    ours, theirs = np.asarray(ours, "float64"), np.asarray(theirs, "float64")
    assert ours.shape == theirs.shape
    return np.abs(ours - theirs).max() / np.abs(theirs).max()


def bert_batch(name):
    expected = np.load(FIXTURES / name / "expected.npz")
    return expected, {key: expected[key] for key in ("token_ids", "segment_ids", "padding_mask")}


def test_bert_masked_lm(tmp_path):
    written = bert_checkpoint("bert_masked_lm", tmp_path)
    assert written["bert/encoder/layer_0/intermediate/dense/kernel"].shape == (20, 36)
    assert {"bert/embeddings/LayerNorm/gamma", "cls/predictions/output_bias"} < set(written)
    expected, inputs = bert_batch("bert_masked_lm")
    logits = np.asarray(BertMaskedLM.from_pretrained(tmp_path)(inputs))
    mask = inputs["padding_mask"]
    assert relative_error(logits[mask], expected["logits"][mask]) < 1e-5


def test_bert_next_sentence_and_encoder(tmp_path):
    written = bert_checkpoint("bert_next_sentence", tmp_path)
    assert written["cls/seq_relationship/output_weights"].shape == (2, 20)
    expected, inputs = bert_batch("bert_next_sentence")
    model = BertNextSentence.from_pretrained(tmp_path)
    assert relative_error(model(inputs), expected["logits"]) < 1e-5
    encoder = BertEncoder.from_pretrained(tmp_path)
    np.testing.assert_array_equal(
        np.asarray(encoder(inputs)["pooled_output"]), np.asarray(model.encoder(inputs)["pooled_output"])
    )
    assert BertEncoder.from_pretrained(tmp_path, activation="gelu_tanh").activation == "gelu_tanh"


def test_bert_has_no_head_for_other_tasks(tmp_path):
    bert_checkpoint("bert_next_sentence", tmp_path)
    with pytest.raises(ValueError, match=r"has no head for BertClassifier.*it is a BertForPreTraining"):
        BertClassifier.from_pretrained(tmp_path)
    _, inputs = bert_batch("bert_next_sentence")
    model = BertClassifier.from_pretrained(tmp_path, head="new", num_classes=4)
    assert model(inputs).shape == (3, 4)


def test_gpt2(tmp_path):
    written = gpt2_checkpoint("gpt2_odd", tmp_path)
    assert written["model/h0/attn/c_attn/w"].shape == (1, 30, 90)
    assert {"model/wte", "model/h2/ln_1/g", "model/h1/mlp/c_proj/b", "model/ln_f/b"} < set(written)
    expected = np.load(FIXTURES / "gpt2_odd" / "expected.npz")
    model = GPT2Model.from_pretrained(tmp_path)
    assert relative_error(model(expected["token_ids"]), expected["logits"]) < 1e-5


@pytest.mark.parametrize(
    ("write", "name", "prefix", "model_class"),
    [
        (bert_checkpoint, "bert_next_sentence", "bert_model.ckpt", BertEncoder),
        (gpt2_checkpoint, "gpt2_odd", "model.ckpt", GPT2Model),
    ],
)
def test_damaged_checkpoints_are_named(write, name, prefix, model_class, tmp_path):
    write(name, tmp_path)
    data, index = tmp_path / f"{prefix}.data-00000-of-00001", tmp_path / f"{prefix}.index"
    whole = data.read_bytes()
    for damaged in (whole[: len(whole) // 2], b""):
        data.write_bytes(damaged)
        with pytest.raises(ValueError, match=rf"{re.escape(prefix)} is not a complete checkpoint"):
            model_class.from_pretrained(tmp_path)
    data.unlink()
    with pytest.raises(ValueError, match=rf"{re.escape(prefix)} is not a complete checkpoint"):
        model_class.from_pretrained(tmp_path)
    data.write_bytes(whole)
    index.write_bytes(index.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"{re.escape(prefix)} is not a complete checkpoint"):
        model_class.from_pretrained(tmp_path)
    index.unlink()
    with pytest.raises(FileNotFoundError, match=rf"has no {re.escape(prefix)}\.index"):
        model_class.from_pretrained(tmp_path)


def test_a_missing_tensor_is_named(tmp_path):
    written = gpt2_checkpoint("gpt2_odd", tmp_path)
    del written["model/h1/ln_2/g"]
    write_checkpoint(tmp_path / "model.ckpt", written)
    with pytest.raises(ValueError, match=r"lacks 1 of the model's tensors: h\.1\.ln_2\.weight"):
        GPT2Model.from_pretrained(tmp_path)
