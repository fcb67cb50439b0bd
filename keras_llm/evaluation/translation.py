"""BLEU and chrF of translations, as sacreBLEU counts them (Post 2018, "A Call for Clarity in Reporting BLEU Scores")."""

import re

CHINESE = re.compile("[\u3400-\u9fff\uf900-\ufaff]")


def translation_metrics(translations, references):
    """Compares translations with the right ones, over the whole corpus.

    Words are cut as sacreBLEU's tokenizer `13a` does, Chinese as its tokenizer `zh`; upper and lower case differ.

    Args:
        translations: list of strings.
        references: list of strings, as many: one right translation each.

    Returns:
        A dict: `bleu` and `chrf` (chrF2), from 0 to 100, and `bleu_signature`, which says how it was counted.

    Raises:
        ValueError: no translations, or other numbers of them and of references.
    """
    from sacrebleu.metrics import BLEU, CHRF

    if not translations or len(translations) != len(references):
        raise ValueError(
            f"translations and references must be as many, at least 1: {len(translations)} and {len(references)}."
        )
    chinese = sum(bool(CHINESE.search(reference)) for reference in references) > len(references) / 2
    bleu = BLEU(tokenize="zh" if chinese else "13a")
    score = bleu.corpus_score(translations, [references]).score
    return {
        "bleu": score,
        "chrf": CHRF().corpus_score(translations, [references]).score,
        "bleu_signature": str(bleu.get_signature()),
    }
