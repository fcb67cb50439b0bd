"""Renders the tables of two pages from the JSON files in this folder: python results/render.py [--check]

A table stands between two marks, `<!-- results: NAME NAME ... -->` and `<!-- end -->`, or `<!-- comparison: NAME -->`
and `<!-- end -->` for the sides of a benchmark beside each other; what is between them is written anew. With `--check`
nothing is written: the exit status tells whether the pages are up to date.
"""

import json
import pathlib
import re
import sys

FOLDER = pathlib.Path(__file__).parent
PAGES = [FOLDER.parent / "README.md", FOLDER.parent / "benchmarks" / "README.md"]
MARKED = re.compile(r"(<!-- (results|comparison): (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def render(page):
    """The page with its tables written anew."""
    tables = {"results": table, "comparison": comparison}
    return MARKED.sub(lambda match: match[1] + tables[match[2]](match[3].split()) + match[4], page)


def table(names):
    """A Markdown table of results: what was measured, how long it took, on what."""
    lines = ["| result | figures | time | hardware | command |", "| --- | --- | --- | --- | --- |"]
    for name in names:
        result = read(name)
        figures = "<br>".join(
            f"{key.replace('_', ' ')}: {show(value)}" for key, value in result["metrics"].items()
        )
        lines.append(
            f"| [{name}](results/{name}.json) | {figures} | {result['wall_seconds']:.0f} s | {hardware(result)} "
            f"| `{result['command']}` |"
        )
    return "\n".join(lines) + "\n"


def comparison(names):
    """A Markdown table of a benchmark: a line a side, a column a figure, with its ratio to that of the first side.

    Under it stands the machine on which it was measured.
    """
    (name,) = names
    result = read(name)
    metrics = result["metrics"]
    sides = metrics["sides"].split(", ")
    longest_first = sorted(sides, key=len, reverse=True)
    cells = {}
    for key, value in metrics.items():
        side = next((side for side in longest_first if key.startswith(f"{side}_")), None)
        if side:
            cells[side, key.removeprefix(f"{side}_")] = value
    figures = list(dict.fromkeys(figure for _, figure in cells if not figure.endswith("_ratio")))
    lines = ["| " + " | ".join(["side", *(figure.replace("_", " ") for figure in figures)]) + " |"]
    lines.append("| --- |" + " ---: |" * len(figures))
    for side in sides:
        row = [side.replace("_", " ")]
        for figure in figures:
            text = show(cells[side, figure]) if (side, figure) in cells else ""
            ratio = cells.get((side, f"{figure}_ratio"))
            row.append(f"{text} ({ratio:.2f})" if ratio else text)
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join([*lines, "", f"({hardware(result)})"]) + "\n"


def hardware(result):
    """The machine of a result."""
    return f"{result['hardware']['cores']} cores, {result['hardware']['cpu']}"


def read(name):
    """The result of that name."""
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def show(value):
    """Counts with thousands separators, measured values with four digits, words as they are."""
    if isinstance(value, str):
        return value.replace("|", "\\|")  # else a new column
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def main():
    """Writes the pages, or checks them."""
    pages = {path: path.read_text(encoding="utf-8") for path in PAGES}
    rendered = {path: render(page) for path, page in pages.items()}
    if "--check" in sys.argv[1:]:
        sys.exit(0 if rendered == pages else "A page is not what results/*.json say: run `make results`.")
    for path, page in rendered.items():
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
