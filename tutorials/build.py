"""Executes chapters and writes them as notebooks.

    python tutorials/build.py                       every chapter
    python tutorials/build.py 01_text_to_tokens     the chapters that are named

A chapter is written as `NN_name.py` (jupytext percent format). This script runs it cell by cell in the full
profile and writes `NN_name.ipynb` beside it: the same cells, with their outputs and pictures.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import jupytext
import nbformat
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent


class _ThisInterpreter(AsyncKernelManager):
    """Starts kernels with the running Python, whatever else is installed on the machine under the same name."""

    def __init__(self, **kwargs):
        # Without folders to look in, one kernel is known: that of this interpreter.
        super().__init__(kernel_spec_manager=KernelSpecManager(kernel_dirs=[]), **kwargs)


def chapters(names=()):
    """The sources of the named chapters, or of all: sorted paths.

    Raises:
        FileNotFoundError: there is no such chapter.
    """
    if not names:
        return sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    sources = [FOLDER / f"{pathlib.Path(name).stem}.py" for name in names]
    for source in sources:
        if not source.is_file():
            known = ", ".join(path.stem for path in chapters())
            raise FileNotFoundError(f"There is no chapter {source.stem!r}; there are {known}.")
    return sources


def read_chapter(source):
    """A chapter as a notebook without outputs; equal sources give equal notebooks."""
    notebook = jupytext.reads(source.read_text(encoding="utf-8"), fmt="py:percent")
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"  # otherwise a random one
        cell.metadata = {}
    return notebook


def build(source):
    """Executes the chapter in the full profile and writes its notebook beside it; returns the path."""
    notebook = read_chapter(source)
    environment = {**os.environ, "KERAS_LLM_PROFILE": "full", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment.pop("MPLBACKEND", None)  # pictures go into the notebook
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        client = NotebookClient(
            notebook,
            kernel_manager_class=_ThisInterpreter,
            resources=resources,
            timeout=None,
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute(env=environment, stderr=subprocess.DEVNULL)  # errors come through the notebook
        home = f"{pathlib.Path.home()}/"
        names = {folder: ".", sys.prefix: "<python>", str(ROOT): "<keras_llm>", home: "~/"}
        _clean(notebook, names)
    notebook.metadata.language_info = {"name": "python"}  # execution adds the exact version
    target = source.with_suffix(".ipynb")
    nbformat.write(notebook, target)
    return target


def _clean(notebook, names):
    """Drops what was written to stderr, and replaces the paths of this machine (the keys of `names`)."""
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        for output in cell.outputs:
            texts = output if output.output_type == "stream" else output.data
            for key in ("text", "text/plain", "text/html"):
                for path, name in names.items():
                    if key in texts:
                        texts[key] = texts[key].replace(path, name)


def main():
    """Builds the chapters named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="chapters, such as 01_text_to_tokens; all by default")
    for source in chapters(parser.parse_args().names):
        print(f"{source.stem} ...", end=" ", flush=True)
        start = time.monotonic()
        build(source)
        print(f"{(time.monotonic() - start) / 60:.1f} minutes", flush=True)


if __name__ == "__main__":
    main()
