"""Renders the tables of README.md from the JSON files in this folder: python results/render.py [--check]

A table stands between two marks, `<!-- results: NAME NAME ... -->` and `<!-- end -->`; what is between them
is written anew. With `--check` nothing is written: the exit status tells whether the page is up to date.
"""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parent
PAGE = FOLDER.parent / "README.md"
MARKED = re.compile(r"(<!-- results: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page):
    """The page with its tables written anew."""
    return MARKED.sub(lambda match: match[1] + table(match[2].split()) + match[3], page)


def table(names):
    """A Markdown table of results: what was measured, how long it took, on what."""
    lines = ["| result | figures | time | hardware | command |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        result = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
        figures = "<br>".join(
            f"{key.replace('_', ' ')}: {show(value)}" for key, value in result["metrics"].items()
        )
        hardware = f"{result['hardware']['cores']} cores, {result['hardware']['cpu']}"
        lines.append(
            f"| [{name}](results/{name}.json) | {figures} | {result['wall_seconds']:.0f} s | {hardware} "
            f"| `{result['command']}` |"
        )
    return "\n".join(lines) + "\n"


def show(value):
    """Counts with thousands separators, measured values with four digits, words as they are."""
    if isinstance(value, str):
        return value.replace("|", "\\|")  # else a new column
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def main():
    """Writes the page, or checks it."""
    page = PAGE.read_text(encoding="utf-8")
    rendered = render(page)
    if "--check" in sys.argv[1:]:
        sys.exit(0 if rendered == page else "README.md is not what results/*.json say: run `make results`.")
    PAGE.write_text(rendered, encoding="utf-8")


if __name__ == "__main__":
    main()
