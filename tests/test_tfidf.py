"""Search without a neural network, and the sentences it looks at."""

import pytest

from keras_llm.baselines.tfidf import likest_sentences
from keras_llm.datasets.segmentation import split_sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It rains. Is it cold? Yes!", ["It rains.", "Is it cold?", "Yes!"]),
        ("Dr. Ada met J. Smith in Mt. of St. Paul.", ["Dr. Ada met J. Smith in Mt. of St. Paul."]),
        ("It is 3.5 m, e.g. here. It ends", ["It is 3.5 m, e.g. here.", "It ends"]),
        (
            'She said: "Go." He went. (It was late.) Then',
            ['She said: "Go."', "He went.", "(It was late.)", "Then"],
        ),
        (
            "今天下雨。冷吗？很冷！他说：“走。”然后走了",
            ["今天下雨。", "冷吗？", "很冷！", "他说：“走。”", "然后走了"],
        ),
        ("A heading\n\nA text. ", ["A heading", "A text."]),
        (" \n", []),
    ],
)
def test_sentences_of_a_text(text, sentences):
    assert split_sentences(text) == sentences


def test_the_sentence_with_the_rarest_common_words_answers():
    cats = "The cat sat on the mat. The cat was black. The dog was red."
    rain = "In May the rain came. 猫坐在垫子上。狗是红色的。"
    questions = ["Which color had the dog?", "什么是红色的？", "Where did the cat sit, on a mat?"]
    answers = ["The dog was red.", "狗是红色的。", "The cat sat on the mat."]
    assert likest_sentences(questions, [cats, rain, cats]) == answers
