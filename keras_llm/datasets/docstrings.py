"""The embedded corpus: English prose that every machine with Python has already.

The documentation strings of the standard library and of the packages installed beside this one, cleaned to
plain sentences: several megabytes of consistent, factual English, with nothing to download. A small GPT-2
learns to write it in an hour. The packages are found on disk and parsed, never imported.

Three steps, top to bottom: find the modules, take their docstrings apart into paragraphs, keep the paragraphs
that read as prose. Each paragraph is kept once over the whole corpus, and whole packages of modules go to one
split, so no paragraph of the training text stands in the validation or the test text.
"""

import ast
import contextlib
import hashlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import pathlib
import platform
import re
import sysconfig
import warnings

from keras_llm.datasets.splits import SPLITS, check_split, split_by_hash
from keras_llm.files import atomic_path

EXTRACTION_VERSION = 1  # raise it when the cleaning changes: older caches are then not used any more

# Import name: name of the distribution (for its version). "stdlib" is Python's own library.
PACKAGES = {
    "stdlib": None,
    "numpy": "numpy",
    "scipy": "scipy",
    "sklearn": "scikit-learn",
    "matplotlib": "matplotlib",
    "nltk": "nltk",
    "keras": "keras",
    "tensorflow": "tensorflow",
    "huggingface_hub": "huggingface-hub",
    "absl": "absl-py",
    "h5py": "h5py",
    "optree": "optree",
    "rich": "rich",
    "requests": "requests",
    "urllib3": "urllib3",
    "fsspec": "fsspec",
    "click": "click",
    "typer": "typer",
    "PIL": "pillow",
}

# A file with less documentation than this is not parsed: a third of the time for an eighth of the text.
MINIMUM_SHARE = 0.2

# Tests, copies of other projects, and files written by a program.
SKIPPED_FOLDERS = re.compile(
    r"^(tests?|testing|_?vendor(ed)?|_?extern(al|als)?|third_party|_api|(site|dist)-packages|__pycache__)$"
)
SKIPPED_FILES = re.compile(r"(_pb2(_grpc)?|_tests?)\.py$|^(gen|test)_|^conftest\.py$")


def docstring_corpus(split=None, packages=tuple(PACKAGES)):
    """Returns the prose of the installed packages' docstrings, one document a module.

    The text depends on the installed packages and their versions, on nothing else: the same installation
    gives the same documents in the same order. The first call reads some thousand files (about 20 seconds);
    its result is kept in `~/.cache/keras_llm` (or in the folder of the environment variable
    `KERAS_LLM_CACHE`).

    Args:
        split: `"train"`, `"validation"`, `"test"` (90, 5 and 5 % of the modules, roughly), or None for all.
        packages: top-level import names; `"stdlib"` is the standard library. What is not installed is left
            out. `PACKAGES` are cached by version; a choice with other names is read anew each time.

    Returns:
        A list of `str`; paragraphs in a document are separated by an empty line.

    Raises:
        ValueError: an unknown split, or none of the packages is installed.
    """
    check_split(split)
    cache = _cache_file(packages) if set(packages) <= set(PACKAGES) else None
    corpus = cache and _read_cache(cache)
    if not corpus:
        corpus = extract(packages)
        if cache:
            _write_cache(cache, corpus)
    if split is None:
        return [document for name in SPLITS for document in corpus[name]]
    return corpus[split]


def extract(packages):
    """Reads, cleans, deduplicates and splits the docstrings of `packages`: `{split: [document, ...]}`."""
    corpus = {split: [] for split in SPLITS}
    seen = set()
    found = False
    for module, path in _modules(packages):
        found = True
        split = split_of_module(module)
        document = []
        for docstring in _docstrings(path):
            for paragraph in prose(docstring):
                key = _normalised(paragraph)
                if key not in seen:
                    seen.add(key)
                    document.append(paragraph)
        if document:
            corpus[split].append("\n\n".join(document))
    if not found:
        raise ValueError(f"packages: none of {', '.join(packages)} is installed here.")
    train = _paragraph_keys(corpus["train"])
    assert train.isdisjoint(_paragraph_keys(corpus["validation"] + corpus["test"]))
    return corpus


def split_of_module(module):
    """Returns the split of a module's name: the modules of one package stay together.

    Neighbours (`pooling.max_pooling1d`, `pooling.max_pooling2d`) share half their sentences, so it is the
    package around a module that is drawn, not the module.
    """
    return split_by_hash(module.rpartition(".")[0] or module, train=0.9, validation=0.05)


def _paragraph_keys(documents):
    return {_normalised(paragraph) for document in documents for paragraph in document.split("\n\n")}


def _normalised(paragraph):
    """What is the same in two paragraphs that differ in case, numbers and punctuation only."""
    return re.sub(r"[^a-z]+", " ", paragraph.lower()).strip()


# --- 1. Finding the modules -----------------------------------------------------------------------------


def _modules(packages):
    """Yields `(module name, path)` of every Python file of the packages, in a fixed order."""
    for package in packages:
        root = _root_of(package)
        if root is None:
            continue
        if root.is_file():
            yield package, root
            continue
        prefix = () if package == "stdlib" else (package,)
        for path in _python_files(root):
            parts = prefix + path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _root_of(package):
    """Returns the folder (or the single file) of a package, or None where it is not installed."""
    if package == "stdlib":
        return pathlib.Path(sysconfig.get_path("stdlib"))
    spec = importlib.util.find_spec(package)  # looks a top-level name up without importing it
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return pathlib.Path(next(iter(spec.submodule_search_locations)))
    return pathlib.Path(spec.origin)


def _python_files(root):
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if not SKIPPED_FOLDERS.match(name))
        for name in sorted(files):
            if name.endswith(".py") and not SKIPPED_FILES.search(name):
                yield pathlib.Path(folder, name)


def _docstrings(path):
    """Yields the docstrings of a file's module, classes and functions, in the order of the file."""
    try:
        source = path.read_text(encoding="utf-8")
        if _share_of_docstrings(source) < MINIMUM_SHARE:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old code has invalid escapes; that is not our reader's business
            tree = ast.parse(source)
    except (OSError, UnicodeDecodeError, SyntaxError, ValueError):
        return  # templates and examples of broken code lie beside good modules
    yield from _docstrings_of(tree)


def _share_of_docstrings(source):
    """Estimates how much of a file is documentation, from what stands between triple quotes."""
    quoted = source.replace("'''", '"""').split('"""')[1::2]
    return sum(map(len, quoted)) / (len(source) + 1)


def _docstrings_of(node):
    docstring = ast.get_docstring(node, clean=False)
    if docstring:
        yield docstring
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _docstrings_of(child)


# --- 2. From a docstring to paragraphs ------------------------------------------------------------------

FENCED_CODE = re.compile(r"^ *(```|~~~).*?(^ *\1 *$|\Z)", re.MULTILINE | re.DOTALL)
UNDERLINE = re.compile(r"^([-=~^*+#_\"'`])\1{2,}$")
BULLET = re.compile(r"^([-*+•]|\(?\d+[.)]|\(?[a-z]\))\s+")
PROSE_DIRECTIVE = re.compile(r"^( *)\.\. (?:note|warning|tip|hint|important|attention|caution)::\s*")
LIST_SECTIONS = {"references", "see also", "bibliography"}


def prose(docstring):
    """Returns the paragraphs of a docstring that read as English prose, as plain text."""
    text = FENCED_CODE.sub("", inspect.cleandoc(docstring))
    # What is short or begins with a small letter can be left out before the slower steps.
    long_ones = (
        paragraph for paragraph in _paragraphs(text) if len(paragraph) > 40 and not paragraph[0].islower()
    )
    cleaned = (plain_text(paragraph) for paragraph in long_ones)
    return [paragraph for paragraph in cleaned if reads_as_prose(paragraph)]


def _paragraphs(text):
    """Yields the paragraphs of a docstring, each on one line, without headings, code and lists of sources."""
    literal_indent = None  # inside a literal block: what is indented more than this is code
    in_list_section = False
    for block in re.split(r"\n(?:\s*\n)+", text.strip("\n")):
        lines = block.splitlines() or [""]
        indent = _indent(lines[0])
        if literal_indent is not None and indent > literal_indent:
            continue
        literal_indent = None
        if len(lines) > 1 and UNDERLINE.match(lines[1].strip()):
            in_list_section = lines[0].strip().lower() in LIST_SECTIONS
            lines = lines[2:]
        if in_list_section or not lines or lines[0].lstrip().startswith(">>>"):
            continue
        lines[0] = PROSE_DIRECTIVE.sub(r"\1", lines[0])
        if lines[0].lstrip().startswith(".."):
            literal_indent = indent
            continue
        yield from _items(lines)
        if lines[-1].endswith("::"):
            literal_indent = indent


def _items(lines):
    """Splits a block at its bullets, where the indentation falls back, and after a heading with a colon.

    A line that is indented more continues the item above it (`name: what it is`, continued below).
    """
    items = []
    previous_indent = 0
    for line in lines:
        text, bullets = BULLET.subn("", line.strip())
        if not items or bullets or _indent(line) < previous_indent or items[-1].endswith(":"):
            items.append(text)
        else:
            items[-1] += " " + text
        previous_indent = _indent(line)
    return items


def _indent(line):
    return len(line) - len(line.lstrip())


# --- 3. From a paragraph to plain sentences -------------------------------------------------------------

MARKUP = [
    (r"`([\w.-]+)'", r"'\1'"),  # `name' in old quotes
    (r"\s*\[[\w ,-]{1,20}\]_(?!\w)", ""),  # footnote [1]_
    (r":[\w:+.-]+:`~[^`<>]*?([^`.<>]+)`", r"\1"),  # :class:`~numpy.ndarray`
    (r"(?::[\w:+.-]+:)?`([^`<>]+?)\s*<[^`>]+>`_{0,2}", r"\1"),  # `text <target>`_
    (r"(?::[\w:+.-]+:)?`+[!~.]*([^`]*)`+_{0,2}", r"\1"),  # :func:`name`, ``code``, `name`
    (r"!?\[([^\]]*)\]\([^)\s]*\)", r"\1"),  # [text](address)
    (r"(\*\*?)(\w[^*]*)\1", r"\2"),  # **bold**, *italic*
    (r"^(?i:notes?|n\.?b\.?|warning|important|tip|returns?|yields|examples?)\s?:\s*", ""),
]
MARKUP = [(re.compile(pattern), replacement) for pattern, replacement in MARKUP]
LAST_SENTENCE_END = re.compile(r"^.*[a-zA-Z0-9)\]\"'][.!?][)\"']?(?=\s|$)")
ABBREVIATION = re.compile(r"\b(e\.g|i\.e|cf|vs|resp|fig|eq|al)\.$", re.IGNORECASE)
LABEL = re.compile(r"^[\w.]+ ?: |^\w+(, \w+)* : ")  # `ValueError: if ...`, `A, B : arrays`
PLAIN_WORD = re.compile(r"^[\"'(]*([A-Za-z]+([-'/][A-Za-z]+)*|\d+)[\"')]*[.,;:!?]*[\"')]*$|^--?$")
COMMON_WORD = re.compile(
    r"^(the|a|an|of|to|in|is|are|be|it|its|this|that|and|or|for|with|as|by|on|if|not|from|which|can|will|has|have"
    r"|was|were|when|you|at|all|into|but|than|one)$",
    re.IGNORECASE,
)
NOT_PROSE = re.compile(
    r"https?:|www\.|@\w|[\\$]|copyright|licen[sc]e|all rights reserved|todo|fixme|xxx"
    r"| (of|by|see|from|and|in)[.,](\s|$)",  # "as shown in [1]_." without its footnote
    re.IGNORECASE,
)


def plain_text(paragraph):
    """Takes the reStructuredText and Markdown signs out, and what follows the last complete sentence."""
    for pattern, replacement in MARKUP:
        paragraph = pattern.sub(replacement, paragraph)
    sentences = LAST_SENTENCE_END.match(" ".join(paragraph.split()))
    return sentences[0] if sentences else ""


def reads_as_prose(text):
    """Tells whether a text is made of English sentences: words, few signs, no names of code."""
    words = text.split()
    if len(words) < 8 or not text[0].isupper() or not text.isascii():
        return False
    if LABEL.match(text) or ABBREVIATION.search(text) or NOT_PROSE.search(text):
        return False
    plain = sum(bool(PLAIN_WORD.match(word)) for word in words)
    common = sum(bool(COMMON_WORD.match(word)) for word in words)
    return plain >= 0.9 * len(words) and common >= 0.2 * len(words)


# --- The cache ------------------------------------------------------------------------------------------


def _cache_file(packages):
    """Returns where the corpus of these packages' versions is kept."""
    folder = os.environ.get("KERAS_LLM_CACHE") or pathlib.Path("~/.cache/keras_llm").expanduser()
    versions = [EXTRACTION_VERSION, *((package, _version(package)) for package in packages)]
    key = hashlib.sha256(json.dumps(versions).encode()).hexdigest()[:16]
    return pathlib.Path(folder, f"docstrings-{key}.json")


def _version(package):
    if package == "stdlib":
        return platform.python_version()
    try:
        return importlib.metadata.version(PACKAGES[package])
    except importlib.metadata.PackageNotFoundError:
        return None


def _read_cache(path):
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _write_cache(path, corpus):
    """Keeps the corpus for the next call; where nothing can be written, that call reads the files again."""
    with contextlib.suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(json.dumps(corpus), encoding="utf-8")
