"""Attention by words against attention by tokens, added up by hand."""

import numpy as np
import pytest
import test_transformer
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager

from keras_llm.explain.attention_maps import AttentionMap, attention_map, draw_attention
from keras_llm.tokenizers import Tokenizer

SPECIAL = ["[PAD]", "[BOS]", "<|endoftext|>"]


@pytest.fixture(scope="module")
def tokenizer():
    return Tokenizer.train(["the cat sat on the mat 猫坐"] * 3, "byte_bpe", 275, special_tokens=SPECIAL)


def test_pieces_of_words_are_added_up_and_averaged(tokenizer):
    model = test_transformer.tiny(vocabulary_size=tokenizer.vocabulary_size, context_length=32)
    source, target = "the cats, sat", "猫 dog!"
    found = attention_map(model, tokenizer, source, target)
    assert found.source_words == ["the", "cats", ",", "sat"]
    assert found.target_words == ["猫", "dog", "!", "(end)"]
    assert found.weights.shape == (2, 4, 4, 4)
    np.testing.assert_allclose(found.weights.sum(axis=-1), 1.0, rtol=1e-5)

    source_ids, target_ids = tokenizer.encode(source), tokenizer.encode(target)
    inputs = {"source_ids": np.array([source_ids]), "target_ids": np.array([[1, *target_ids]])}
    _, attention = model(inputs, return_attention=True)
    weights = np.asarray(attention[1])[0]  # [heads, T + 1, S]
    pieces = [[i for i in range(len(source_ids)) if place(tokenizer, source, i) == word] for word in range(4)]
    cats, dog = pieces[1], [i for i in range(len(target_ids)) if place(tokenizer, target, i) == 1]
    assert len(cats) > 1 and len(dog) > 1
    expected = weights[:, dog][:, :, cats].sum(axis=-1).mean(axis=-1)  # [heads]
    np.testing.assert_allclose(found.weights[1, :, 1, 1], expected, rtol=1e-5)
    np.testing.assert_allclose(found.weights[1, :, 3, 1], weights[:, -1, cats].sum(axis=-1), rtol=1e-5)


def place(tokenizer, text, i):
    """The number of the word that token i ends in."""
    _, offsets = tokenizer.encode_with_offsets(text)
    ends = {"the cats, sat": [3, 8, 9, 13], "猫 dog!": [1, 5, 6]}[text]
    return next(number for number, end in enumerate(ends) if offsets[i][1] <= end)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures, original = [], Figure.savefig

    def save(self, path, **options):
        figures.append(self)
        original(self, path, **options)

    monkeypatch.setattr(Figure, "savefig", save)
    return figures


def test_a_picture_has_a_panel_a_head_and_one_for_their_mean(tmp_path, drawn):
    weights = np.random.default_rng(0).dirichlet(np.ones(3), (1, 4, 2)).astype("float32")
    draw_attention(AttentionMap(["a", "b", "c"], ["x", "(end)"], weights), tmp_path / "map.png")
    panels = [axes for axes in drawn[0].axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["mean of the heads", *(f"head {i}" for i in range(4))]
    np.testing.assert_allclose(panels[0].images[0].get_array(), weights[0].mean(axis=0))
    assert [label.get_text() for label in panels[1].get_xticklabels()] == ["a", "b", "c"]
    with pytest.raises(ValueError, match="layer=1 must lie in 0 to 0"):
        draw_attention(AttentionMap(["a"], ["x"], weights), tmp_path / "map.png", layer=1)


@pytest.mark.filterwarnings("ignore:Glyph")  # where the font is not really installed
def test_a_chinese_target_of_an_english_source_has_a_chinese_font(tmp_path, monkeypatch, drawn):
    monkeypatch.setattr(fontManager, "get_font_names", lambda: ["DejaVu Sans", "WenQuanYi Micro Hei"])
    found = AttentionMap(["cat", "dog"], ["猫", "(end)"], np.full((1, 1, 2, 2), 0.5, "float32"))
    draw_attention(found, tmp_path / "map.png")
    labels = drawn[0].axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["猫", "(end)"]
    assert labels[0].get_fontfamily() == ["DejaVu Sans", "WenQuanYi Micro Hei"]


def test_a_text_without_words_is_refused(tokenizer):
    model = test_transformer.tiny(vocabulary_size=tokenizer.vocabulary_size)
    with pytest.raises(ValueError, match="no word in ' '"):
        attention_map(model, tokenizer, " ", "cat")
