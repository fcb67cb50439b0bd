"""The chapters run, their notebooks are up to date, and they have the form that the course promises."""

import importlib.util
import os
import pathlib
import re
import resource
import subprocess
import sys

import nbformat
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "tutorials"
CHAPTERS = sorted(TUTORIALS.glob("[0-9][0-9]_*.py"))
SOLUTIONS = sorted((TUTORIALS / "solutions").glob("*.py"))
COLAB = "https://colab.research.google.com/github/keras-llm/keras_llm/blob/main/tutorials"
SECONDS = 120
LINES = 12  # of code in a cell

each_chapter = pytest.mark.parametrize("source", CHAPTERS, ids=lambda path: path.stem)

specification = importlib.util.spec_from_file_location("build", TUTORIALS / "build.py")
build = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build)


def cells_of(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def prose_of(source):
    return "\n".join(cell.source for cell in cells_of(build.read_chapter(source), "markdown"))


def code_lines(cell):
    lines = map(str.strip, cell.source.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def notebook_of(source):
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


# Running


SCRIPTS = [pytest.param([path], id=path.stem) for path in CHAPTERS]
for number in sorted({path.name[:2] for path in SOLUTIONS}):
    own = [path for path in SOLUTIONS if path.name.startswith(number)]
    SCRIPTS.append(pytest.param(own, id=f"solutions of {number}", marks=pytest.mark.slow))
# The solutions of a chapter in one process, which imports TensorFlow once.
RUN = "import runpy, sys\nfor script in sys.argv[1:]: runpy.run_path(script, run_name='__main__')"


@pytest.mark.parametrize("scripts", SCRIPTS)
def test_scripts_run(scripts, tmp_path):
    environment = {
        **os.environ,
        "KERAS_LLM_PROFILE": "small",
        "MPLBACKEND": "Agg",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    environment.pop("KERAS_LLM_DATA", None)  # what comes with the package must be enough
    command = [sys.executable, "-c", RUN, *map(str, scripts)]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr[-3000:]
    processor_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert processor_seconds < 2 * SECONDS  # of two cores; the clock on the wall depends on what else runs


# Form


@each_chapter
def test_header_says_what_it_costs_and_links_colab(source):
    cells = build.read_chapter(source).cells
    first_code = next(i for i, cell in enumerate(cells) if cell.cell_type == "code")
    header = "\n".join(cell.source for cell in cells[:first_code])
    assert header.startswith("# ")
    assert f"{COLAB}/{source.stem}.ipynb" in header
    for word in ("device", "minutes", "memory", "full", "small"):
        assert re.search(rf"\b{word}\b", header, re.IGNORECASE), word
    assert '"google.colab" in sys.modules' in cells[first_code].source


@each_chapter
def test_code_cells_are_short(source):
    for cell in cells_of(build.read_chapter(source), "code"):
        assert len(code_lines(cell)) <= LINES, cell.source


@each_chapter
def test_two_to_four_exercises_have_solutions(source):
    solutions = [path.name for path in SOLUTIONS if path.name.startswith(source.stem[:3])]
    exercises = prose_of(source).partition("## Exercises")[2]
    assert 2 <= len(solutions) <= 4
    assert sorted(re.findall(r"\(solutions/(.+?)\)", exercises)) == solutions


def test_readme_lists_every_chapter():
    listed = re.findall(r"\((\d\d_\w+)\.ipynb\)", (TUTORIALS / "README.md").read_text(encoding="utf-8"))
    assert listed == [source.stem for source in CHAPTERS]


@pytest.mark.parametrize("page", [*CHAPTERS, TUTORIALS / "README.md"], ids=lambda path: path.stem)
def test_links_lead_somewhere(page):
    prose = prose_of(page) if page.suffix == ".py" else page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s#]+)", prose):
        assert target.startswith("https://") or (page.parent / target).exists(), target


# Notebooks


@each_chapter
def test_notebook_has_the_cells_of_its_source(source):
    cells = [(cell.cell_type, cell.source) for cell in build.read_chapter(source).cells]
    built = [(cell.cell_type, cell.source) for cell in notebook_of(source).cells]
    assert built == cells, f"{source.name} has changed: python tutorials/build.py {source.stem}"


@each_chapter
def test_notebook_is_executed_and_clean(source):
    notebook = notebook_of(source)
    code = cells_of(notebook, "code")
    outputs = [output for cell in code for output in cell.outputs]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert outputs
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs)
    texts = [output.get("text", "") + output.get("data", {}).get("text/plain", "") for output in outputs]
    assert not re.search(r"/(tmp|home|root|usr|opt)/", "\n".join(texts))
    assert "execution" not in str([cell.metadata for cell in notebook.cells])


@pytest.fixture
def small_chapter(tmp_path):
    def write(code):
        path = tmp_path / "00_small.py"
        path.write_text(f"# %% [markdown]\n# # A title\n\n# %%\n{code}\n", encoding="utf-8")
        return path

    return write


def test_build_runs_in_this_interpreter_and_cleans_up(small_chapter):
    source = small_chapter(
        "import os, sys\n"
        "print(sys.prefix, os.getcwd(), os.environ['KERAS_LLM_PROFILE'])\n"
        "print('a warning', file=sys.stderr)\n"
        "sys.version_info[:2]"
    )
    notebook = nbformat.read(build.build(source), as_version=4)
    nbformat.validate(notebook)
    (cell,) = cells_of(notebook, "code")
    stdout, result = cell.outputs
    assert stdout.text == "<python> . full\n"  # <python> stands for the interpreter that runs this test
    assert result.data["text/plain"] == str(sys.version_info[:2])
    first = source.with_suffix(".ipynb").read_bytes()
    assert build.build(source).read_bytes() == first  # nothing in it depends on the time of day


def test_build_stops_at_an_error(small_chapter):
    source = small_chapter("assert 1 + 1 == 3")
    with pytest.raises(Exception, match="AssertionError"):
        build.build(source)
    assert not source.with_suffix(".ipynb").exists()


def test_unknown_chapter_is_named():
    with pytest.raises(FileNotFoundError, match="99_nothing"):
        build.chapters(["99_nothing"])
