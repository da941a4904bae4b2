"""Where a record comes from: hardware, versions, commit, and a digest of the code that made it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import platform
import subprocess
import tokenize
from collections.abc import Container, Iterator
from importlib import metadata
from pathlib import Path

import torch

import sparse_methods
from pipeline.record import Provenance
from pipeline.run import Run
from sparse_methods import methods

ENGINE = tuple(sorted(Path(sparse_methods.__file__).parent.glob("*.py")))
SPARSE_ENGINE = tuple(sorted(Path(sparse_methods.__file__).parent.glob("execution/*.py")))
SOURCE_SUFFIXES = (".py", ".j2", ".css", ".js", ".csv", ".bib")
STRUCTURE = (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT)
IGNORED_TOKENS = (tokenize.COMMENT, tokenize.NL, tokenize.ENDMARKER)
# Since Python 3.12 an f-string is many tokens; names that 3.11 does not have.
FSTRING_START, FSTRING_END = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)


def source_digest(run: Run) -> str:
    """Twelve hex digits over the code that decides a run's result: its method's, and those of the runs it starts from.

    Comments, docstrings and line breaks do not count, so that explaining code better retrains nothing.
    """
    own = method_digest(run.method, ENGINE if run.protocol.execution == "masked" else (*ENGINE, *SPARSE_ENGINE))
    if run.start_from is None:
        return own
    return hashlib.sha256(f"{own} {source_digest(run.start_from.run)}".encode()).hexdigest()[:12]


@functools.cache
def method_digest(method: str, engine: tuple[Path, ...] = ENGINE) -> str:
    """Twelve hex digits over the tokens of the method's file, of the methods that it builds on, and of the engine."""
    bases = [cls.__module__ for cls in methods.METHODS[method].__mro__ if cls.__module__.startswith(methods.__name__)]
    own = {Path(inspect.getfile(methods.METHODS[name.split(".")[-1]])) for name in bases}
    digest = hashlib.sha256()
    for file in (*engine, *sorted(own)):
        digest.update(tokens_digest(file.read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:12]


def tree_digest(folder: Path, without: Container[str] = ()) -> str:
    """Twelve hex digits over the source files below a folder: Python's tokens, the others' text.

    ``without`` holds names of files that do not count.
    """
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.suffix in SOURCE_SUFFIXES):
        if not path.name.startswith(".") and path.name not in without:
            digest.update(path.relative_to(folder).as_posix().encode())
            text = path.read_text(encoding="utf-8")
            digest.update((tokens_digest(text) if path.suffix == ".py" else text).encode())
    return digest.hexdigest()[:12]


def tokens_digest(source: str) -> str:
    """SHA-256 of Python source without its comments, docstrings and layout."""
    digest = hashlib.sha256()
    at_statement_start = True
    for kind, text in _tokens(source):
        if kind in IGNORED_TOKENS or (at_statement_start and kind in (tokenize.STRING, tokenize.NEWLINE)):
            continue
        # Blocks and the ends of statements matter where layout does not: `a` and `(b)` below it are not `a(b)`.
        at_statement_start = kind in STRUCTURE
        digest.update(f"{tokenize.tok_name[kind] if kind in STRUCTURE else text}\0".encode())
    return digest.hexdigest()


def _tokens(source: str) -> Iterator[tuple[int, str]]:
    """Kinds and texts of tokens, every f-string a single one, so that all versions of Python agree."""
    lines = source.splitlines(keepends=True)
    depth, start = 0, (0, 0)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == FSTRING_START:
            start = start if depth else token.start
            depth += 1
        elif token.type == FSTRING_END:
            depth -= 1
            if depth == 0:
                (first, left), (last, right) = start, token.end
                inside = lines[first - 1 : last]
                inside[-1] = inside[-1][:right]
                inside[0] = inside[0][left:]
                yield tokenize.NAME, "".join(inside)
        elif depth == 0:
            yield token.type, token.string


def provenance(run: Run, device: torch.device, data_digest: str | None) -> Provenance:
    """Of a run that this process executes on ``device``."""
    reproducible = device.type == "cpu" or run.protocol.deterministic
    return Provenance(
        device=device.type,
        hardware=hardware_of(device),
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "rigl-bench": _version("rigl-bench"),
        },
        commit=_commit(),
        source_digest=source_digest(run),
        data_digest=data_digest,
        numerics=f"{run.protocol.precision}, {'' if reproducible else 'not '}bit-reproducible",
    )


@functools.cache
def hardware_of(device: torch.device) -> str:
    """Name of the GPU, or of the processor with the threads that torch uses."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.processor() or platform.machine()
    return f"{name}, {torch.get_num_threads()} thread(s) of {len(names) or '?'}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@functools.cache
def _commit() -> str | None:
    root = Path(__file__).parent.parent
    if not (root / ".git").exists():
        return None
    try:
        head = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=root, capture_output=True, text=True)
        # Untracked files count: a method that was just dropped in is in no commit.
        status = ["git", "status", "--porcelain", "--", "sparse_methods", "pipeline"]
        changed = subprocess.run(status, cwd=root, capture_output=True, text=True)
    except FileNotFoundError:  # no git on this machine: the source digest still tells which code ran
        return None
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")
