"""Names in pictures, also in Chinese."""

import importlib.util
import pathlib
import unicodedata

CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",  # the name under which matplotlib finds the collection that holds the SC font too
    "Noto Sans SC",
    "Source Han Sans SC",
    "Source Han Sans CN",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
)


def columns(text):
    """Columns that a text takes in a terminal, where a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def drawable(names):
    """Names as the fonts here can draw them, and these fonts.

    Where no font has Chinese characters (`pip install "keras-llm[fonts]"` brings one), the number of a Chinese name
    stands in its place. Names of more than 24 characters are cut.

    Args:
        names: list of strings.

    Returns:
        A list of strings, and a list of matplotlib's font families, of which the first that has a character draws it.
    """
    from matplotlib.font_manager import fontManager

    names = [name if len(name) <= 24 else name[:23] + "…" for name in names]
    chinese = any(columns(name) > len(name) for name in names)
    if chinese and not set(CHINESE_FONTS) & set(fontManager.get_font_names()):
        _add_packaged_font(fontManager)
    installed = set(fontManager.get_font_names())
    fonts = ["DejaVu Sans", *(font for font in CHINESE_FONTS if font in installed)]
    if len(fonts) == 1:
        names = [name if columns(name) == len(name) else f"{i}" for i, name in enumerate(names)]
    return names, fonts


def _add_packaged_font(font_manager):
    """Noto Sans from the package mplfonts, if that is installed; found without importing it."""
    package = importlib.util.find_spec("mplfonts")
    if package is not None:
        path = pathlib.Path(package.origin).parent / "fonts" / "NotoSansCJKsc-Regular.otf"
        if path.is_file():
            font_manager.addfont(path)
