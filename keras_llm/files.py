"""Reading and writing files: the floor that every other module stands on.

A file is written beside its final place and moved there when it is complete, so that a crash, a full
disk or Ctrl-C never leaves half a file where a good one was.
"""

import contextlib
import json
import os
import pathlib
import tempfile

_kept = True


def keep_nothing():
    """From now on what this process writes is thrown away: of several workers one alone writes files."""
    global _kept
    _kept = False


@contextlib.contextmanager
def atomic_path(path):
    """Yields a temporary path; when the block ends well, what was written there becomes `path`.

    The temporary name keeps the suffix (Keras, for one, chooses the format by it). If the block raises,
    the temporary file is removed and `path` is left as it was.

    Args:
        path: where the finished file has to be. Its folder is made if it is missing.
    """
    path = pathlib.Path(path)
    if _kept:
        path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(
        dir=path.parent if _kept else None, prefix=".writing-", suffix=path.suffix
    )
    os.close(handle)
    temporary = pathlib.Path(temporary)
    try:
        yield temporary
        if not _kept:
            return
        with open(temporary, "rb+") as written:
            os.fsync(written.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path, value):
    """Writes `value` as indented UTF-8 JSON, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path):
    """Reads a JSON file; a missing or broken one is an error that names it."""
    path = require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}). Is the file complete?") from error


def require_file(path):
    """Returns `path` as a `pathlib.Path`, or raises `FileNotFoundError` that names it."""
    path = pathlib.Path(path)
    if not path.is_file():
        what = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise FileNotFoundError(f"{path} {what}.")
    return path


def resolve_folder(path_or_name, patterns):
    """Finds the folder of a checkpoint or a tokenizer.

    Args:
        path_or_name: an existing folder, or a name on the Hugging Face hub (`"openai-community/gpt2"`).
            A name is looked up in the hub's local cache and downloaded if it is not there.
        patterns: the file names wanted from the hub, such as `["*.json", "*.safetensors"]`.

    Returns:
        A `pathlib.Path` of a folder.

    Raises:
        FileNotFoundError: neither a folder, nor to be had from the hub.
    """
    folder = pathlib.Path(path_or_name)
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise FileNotFoundError(f"{folder} is a file; give the folder that holds it.")
    if not _looks_like_hub_name(path_or_name):
        raise FileNotFoundError(f"There is no folder {folder}.")
    import huggingface_hub

    try:
        return pathlib.Path(huggingface_hub.snapshot_download(str(path_or_name), allow_patterns=patterns))
    except Exception as error:
        raise FileNotFoundError(
            f"{path_or_name!r} is not a folder here, and it could not be had from the Hugging Face hub "
            f"({type(error).__name__}). Download it on a machine with network "
            f"(`hf download {path_or_name}`) and give the folder."
        ) from error


def _looks_like_hub_name(name):
    """Hub names are `name` or `owner/name`: no dots or slashes that only a path has."""
    parts = str(name).split("/")
    return len(parts) <= 2 and all(part and not part.startswith((".", "~")) for part in parts)
