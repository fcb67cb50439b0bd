"""LoRA against Hu et al. 2021, section 4: what is frozen, what is learned, what is kept."""

import contextlib

import keras
import numpy as np
import pytest

from keras_llm.datasets.batches import TokenWindows
from keras_llm.models.bert import BertClassifier, BertEncoder
from keras_llm.models.gpt2 import GPT2Model
from keras_llm.models.transformer import Transformer
from keras_llm.training import resuming
from keras_llm.training.callbacks import SaveBest
from keras_llm.training.lora import SaveBestAdapters, adapters, add_lora, load_lora, merge_lora, save_lora
from keras_llm.training.losses import TokenCrossEntropy
from keras_llm.training.optimizers import AdamW

SIZES = {"hidden_dim": 16, "num_heads": 2, "dropout": 0.0}
IDS = np.random.default_rng(0).integers(1, 30, (2, 8)).astype("int32")


def gpt2():
    keras.utils.set_random_seed(1)
    return GPT2Model(vocabulary_size=30, context_length=12, num_layers=2, **SIZES)


def bert():
    keras.utils.set_random_seed(1)
    encoder = BertEncoder(vocabulary_size=30, context_length=12, num_layers=1, inner_dim=32, **SIZES)
    return BertClassifier(encoder, num_classes=3)


def transformer():
    keras.utils.set_random_seed(1)
    return Transformer.from_preset("nano", vocabulary_size=30, num_layers=1, **SIZES)


MODELS = {
    "gpt2": (gpt2, IDS),
    "bert": (bert, {"token_ids": IDS}),
    "transformer": (transformer, {"source_ids": IDS, "target_ids": IDS}),
}


def with_learned(model, **options):
    """The model with adapters as training could have left them."""
    add_lora(model, **options)
    for i, layer in enumerate(adapters(model)):
        noise = np.random.default_rng(i).normal(size=layer.lora_kernel_b.shape, scale=3)
        layer.lora_kernel_b.assign(noise)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_nothing_changes_at_first_and_merged_equals_unmerged(name):
    make, inputs = MODELS[name]
    plain = np.asarray(make()(inputs))
    model = make()
    add_lora(model, rank=2, layers=("query", "value", "inner"))
    np.testing.assert_array_equal(np.asarray(model(inputs)), plain)
    learned = with_learned(make(), rank=2, layers=("query", "value", "inner"))
    outputs = np.asarray(learned(inputs))
    assert np.abs(outputs - plain).max() > 1e-3
    merged = merge_lora(learned)
    np.testing.assert_allclose(np.asarray(merged(inputs)), outputs, rtol=1e-5, atol=1e-5)
    assert not adapters(merged) and merged.count_params() == make().count_params()
    assert len(merged.trainable_variables) == len(make().trainable_variables)


def test_a_layer_computes_the_formula_of_the_paper():
    model = with_learned(gpt2(), rank=4, alpha=12, layers=("key",))
    layer = model.blocks[0].attention.key_projection
    x = np.random.default_rng(3).normal(size=(5, 16)).astype("float32")
    kernel, bias, a, b = (
        keras.ops.convert_to_numpy(variable)
        for variable in (layer._kernel, layer.bias, layer.lora_kernel_a, layer.lora_kernel_b)
    )
    assert a.shape == (16, 4) and b.shape == (4, 16)
    np.testing.assert_allclose(
        np.asarray(layer(x)), x @ kernel + bias + 12 / 4 * x @ a @ b, rtol=2e-5, atol=1e-5
    )


def test_only_adapters_are_trained_and_have_an_optimizer_s_memory():
    model = gpt2()
    add_lora(model, rank=2, layers=("query", "value"))
    before = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.weights}
    trainable = {variable.path for variable in model.trainable_variables}
    assert len(trainable) == 2 * 2 * 2 and all("lora_kernel" in path for path in trainable)
    model.compile(AdamW(1e-2), TokenCrossEntropy(), jit_compile=False)
    for _ in range(2):  # the first step moves B alone, as A has no gradient where B is zero
        model.train_on_batch(IDS, IDS)
    for variable in model.weights:
        changed = not np.array_equal(keras.ops.convert_to_numpy(variable), before[variable.path])
        assert changed == (variable.path in trainable), variable.path
    assert sum(np.prod(mean.shape) for mean in model.optimizer.means) == 2 * 2 * 2 * 16 * 2


def test_adapters_alone_are_saved_and_loaded_onto_a_fresh_model(tmp_path):
    model = with_learned(gpt2(), rank=2, alpha=5, layers=("value", "outer"))
    save_lora(model, tmp_path)
    fresh = gpt2()
    load_lora(fresh, tmp_path)
    np.testing.assert_array_equal(np.asarray(fresh(IDS)), np.asarray(model(IDS)))
    size = (tmp_path / "model.safetensors").stat().st_size
    assert size < 4 * 2 * 2 * (16 + 16 + 64 + 16) + 2000  # four bytes a number, and the header
    other = GPT2Model(vocabulary_size=30, context_length=12, num_layers=3, **SIZES)
    with pytest.raises(ValueError, match="lacks"):
        load_lora(other, tmp_path)


def test_export_has_the_adapters_in_its_kernels(tmp_path):
    model = with_learned(gpt2(), rank=2)
    model.save_pretrained(tmp_path)
    again = GPT2Model.from_pretrained(tmp_path)
    np.testing.assert_allclose(np.asarray(again(IDS)), np.asarray(model(IDS)), rtol=1e-5, atol=1e-6)


def test_the_best_adapters_are_those_of_the_best_model(tmp_path):
    model = with_learned(gpt2(), rank=2)
    best = [SaveBest(tmp_path / "model.keras"), SaveBestAdapters(tmp_path / "adapter")]
    for loss in (2.0, 1.0, 3.0):
        model.blocks[0].attention.query_projection.lora_kernel_b.assign(np.full((2, 16), loss))
        for callback in best:
            callback.set_model(model)
            callback.on_epoch_end(0, {"val_token_loss": loss})
    base = gpt2()
    load_lora(base, tmp_path / "adapter")
    kept = keras.saving.load_model(tmp_path / "model.keras")
    assert float(base.blocks[0].attention.query_projection.lora_kernel_b[0, 0]) == 1.0
    np.testing.assert_allclose(np.asarray(base(IDS)), np.asarray(kept(IDS)), rtol=1e-5, atol=1e-6)


class Cut(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 1:
            raise InterruptedError


def test_a_run_that_is_cut_goes_on_to_the_same_bits(tmp_path):
    ends = []
    for name, cuts in (("whole", [[]]), ("cut", [[Cut()], []])):
        for i, callbacks in enumerate(cuts):
            model = gpt2()
            if i:
                model = with_learned(model, rank=2)  # what it has when it goes on must not matter
            else:
                add_lora(model, rank=2)
            model.compile(AdamW(1e-2), TokenCrossEntropy(), jit_compile=False)
            train = TokenWindows(np.arange(200) % 30, 12, 2, seed=0)
            options = {"epochs": 2, "steps_per_epoch": 3, "callbacks": callbacks, "save_every": 1}
            with contextlib.suppress(InterruptedError):
                resuming.fit(model, train, tmp_path / name, **options)
        ends.append([keras.ops.convert_to_numpy(variable) for variable in model.variables])
    for whole, cut in zip(*ends):
        np.testing.assert_array_equal(whole, cut)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ("query", "gate")}, "no dense layer 'gate'; choose from .*'inner', 'key'"),
        ({"rank": 0}, "rank must be at least 1"),
    ],
)
def test_a_wrong_option_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        add_lora(gpt2(), **options)


def test_what_cannot_have_adapters_is_refused(tmp_path):
    model = gpt2()
    with pytest.raises(ValueError, match="has no adapters"):
        save_lora(model, tmp_path)
    add_lora(model)
    with pytest.raises(ValueError, match="adapters already"):
        add_lora(model)
    half = GPT2Model(vocabulary_size=30, context_length=12, num_layers=1, dtype="mixed_bfloat16", **SIZES)
    with pytest.raises(ValueError, match="float32, not bfloat16"):
        add_lora(half)
