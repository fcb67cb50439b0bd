"""Results: what a run gave, and all that is needed to get it again."""

import hashlib
import importlib.metadata
import os
import pathlib
import platform
import shlex
import subprocess
import sys

import keras_llm
from keras_llm.files import write_json


def write_result(path, *, seed, data, wall_seconds, metrics):
    """Writes one run's result as JSON.

    Accuracy and F1 are fractions, BLEU and ROUGE go from 0 to 100, losses are in nats a token.

    Args:
        path: of the file; its stem is the result's name.
        seed: of the run; None where nothing is drawn.
        data: dict of a name to the text or list of texts that was used, for its checksum, or to the path
            of a file.
        wall_seconds: from the start of the command to its end, all included.
        metrics: dict of name to number.
    """
    path = pathlib.Path(path)
    write_json(
        path,
        {
            "name": path.stem,
            "command": _command(),
            "commit": _commit(),
            "seed": seed,
            "data": [{"path": name, "sha256": checksum(content)} for name, content in data.items()],
            "versions": _versions(),
            "hardware": _hardware(),
            "wall_seconds": round(wall_seconds, 1),
            "metrics": metrics,
        },
    )


def checksum(content):
    """SHA-256 of a file (a `pathlib.Path`), of a text, or of a list of texts, each ended by a zero byte."""
    digest = hashlib.sha256()
    if isinstance(content, pathlib.Path):
        with open(content, "rb") as file:
            while block := file.read(1 << 24):
                digest.update(block)
    elif isinstance(content, str):
        digest.update(content.encode("utf-8"))
    else:
        for text in content:
            digest.update(text.encode("utf-8") + b"\0")
    return digest.hexdigest()


def _command():
    program = pathlib.Path(sys.argv[0]).name
    words = [program if program == "keras-llm" else f"python {os.path.relpath(sys.argv[0])}", *sys.argv[1:]]
    return words[0] + "".join(f" {shlex.quote(word)}" for word in words[1:])


def _commit():
    """The checkout's commit, with a plus sign if files were changed since; None outside a checkout."""
    folder = pathlib.Path(__file__).parents[2]
    if not (folder / ".git").exists():
        return None
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", "keras_llm", "setup.py")
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _git(folder, *words):
    return subprocess.run(
        ["git", "-C", folder, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


def _versions():
    versions = {"python": platform.python_version()}
    for package in ("keras", "tensorflow", "jax", "numpy", "tokenizers"):
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    backend = sys.modules.get("keras") and sys.modules["keras"].backend.backend()
    return {"keras_llm": keras_llm.__version__, "backend": backend, **versions}


def _hardware():
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        cpu = names[0] if names else cpu
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {"cpu": cpu, "cores": os.cpu_count(), "memory_gib": memory and round(memory / 2**30, 1)}
