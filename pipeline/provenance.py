"""Where a record comes from: hardware, versions, commit, and a digest of the code that made it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import io
import platform
import subprocess
import tokenize
from importlib import metadata
from pathlib import Path

import torch

from pipeline.record import Provenance
from sparse_methods import distributions, methods, optimizer_state, schedules, sparsifier, topology
from sparse_methods import method as contract

ENGINE = (contract, distributions, optimizer_state, schedules, sparsifier, topology)
IGNORED_TOKENS = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


@functools.cache
def source_digest(method: str) -> str:
    """Twelve hex digits over the tokens of the method's file, of the methods that it builds on, and of the engine.

    Comments, docstrings and line breaks do not count, so that explaining code better retrains nothing.
    """
    bases = [cls.__module__ for cls in methods.METHODS[method].__mro__ if cls.__module__.startswith(methods.__name__)]
    files = {module.__file__ for module in ENGINE} | {
        inspect.getfile(methods.METHODS[name.split(".")[-1]]) for name in bases
    }
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: Path(file).name):
        digest.update(tokens_digest(Path(file).read_text(encoding="utf-8")).encode())
    return digest.hexdigest()[:12]


def tree_digest(folder: Path) -> str:
    """Twelve hex digits over a folder's Python tokens and the bytes of its other source files."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix not in (".pyc", ".yaml"):
            digest.update(path.relative_to(folder).as_posix().encode())
            text = path.read_text(encoding="utf-8")
            digest.update((tokens_digest(text) if path.suffix == ".py" else text).encode())
    return digest.hexdigest()[:12]


def tokens_digest(source: str) -> str:
    """SHA-256 of Python source without its comments, docstrings and layout."""
    digest = hashlib.sha256()
    at_statement_start = True
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT):
            at_statement_start = True
        if token.type in IGNORED_TOKENS or (token.type == tokenize.STRING and at_statement_start):
            # Block structure matters where layout does not: an indented line must not equal an unindented one.
            if token.type in (tokenize.INDENT, tokenize.DEDENT):
                digest.update(tokenize.tok_name[token.type].encode())
            continue
        at_statement_start = False
        digest.update(f"{token.string}\0".encode())
    return digest.hexdigest()


def provenance(method: str, device: torch.device, deterministic: bool) -> Provenance:
    """Of a run that this process executes on ``device``."""
    reproducible = device.type == "cpu" or deterministic
    return Provenance(
        device=device.type,
        hardware=_hardware(device),
        versions={
            "python": platform.python_version(),
            "torch": torch.__version__,
            "rigl-bench": _version("rigl-bench"),
        },
        commit=_commit(),
        source_digest=source_digest(method),
        numerics=f"float32, {'' if reproducible else 'not '}bit-reproducible",
    )


@functools.cache
def _hardware(device: torch.device) -> str:
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
        changed = subprocess.run(["git", "status", "--porcelain", "-uno"], cwd=root, capture_output=True, text=True)
    except FileNotFoundError:  # no git on this machine: the source digest still tells which code ran
        return None
    if head.returncode != 0:
        return None
    return head.stdout.strip() + ("-dirty" if changed.stdout.strip() else "")
