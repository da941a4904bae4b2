"""Where a record comes from: hardware, versions, commit, and a digest of the code that made it."""

from __future__ import annotations

import functools
import hashlib
import inspect
import platform
import subprocess
from importlib import metadata
from pathlib import Path

import torch

import sparse_methods
from pipeline.record import Provenance
from pipeline.run import Run
from pipeline.source_code import tokens_digest
from sparse_methods import methods

ENGINE = tuple(sorted(Path(sparse_methods.__file__).parent.glob("*.py")))
TIMES = " x "
"""Between the number of processes, each on a device of its own, and the name of one device."""
SPARSE_ENGINE = tuple(sorted(Path(sparse_methods.__file__).parent.glob("execution/*.py")))


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


def provenance(run: Run, device: torch.device, data_digest: str | None, processes: int = 1) -> Provenance:
    """Of a run that this process executes on ``device``, with others on devices like it."""
    reproducible = device.type == "cpu" or run.protocol.deterministic
    return Provenance(
        device=device.type,
        hardware=f"{processes}{TIMES}{hardware_of(device)}" if processes > 1 else hardware_of(device),
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


def devices_of(hardware: str) -> tuple[int, str]:
    """How many devices a record's ``hardware`` is, and the name of one."""
    count, times, name = hardware.partition(TIMES)
    return (int(count), name) if times and count.isdecimal() else (1, hardware)


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
