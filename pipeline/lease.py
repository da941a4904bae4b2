"""Locks that the kernel frees when a process dies: on a run's folder, and on a share of a GPU."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

POLL_SECONDS = 0.2
DEVICES = Path("/dev")


@contextlib.contextmanager
def locked(path: Path, told: Callable[[Callable[[], bool]], bool] = lambda taken: taken()) -> Iterator[None]:
    """Hold an exclusive lock on the file ``path``, waiting for whoever has it (an orphan may still be writing).

    Of processes that share it one asks, and ``told`` (``Ranks.from_first``) lets all know after every try, so that the others
    do not take one that waits for dead.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        while not told(lambda: _taken(path, stack)):
            time.sleep(POLL_SECONDS)
        yield


def visible_gpus() -> list[str]:
    """GPUs that this process may use, asked without touching CUDA: by CUDA_VISIBLE_DEVICES, else by device files."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        # As CUDA reads it: what follows a name that is no device does not count, and -1 is the usual way to say none.
        names = (name.strip() for name in named.split(","))
        return list(itertools.takewhile(lambda name: name.isdigit() or name.startswith(("GPU-", "MIG-")), names))
    # CUDA numbers from 0 those that are there, while a container's device files keep the numbers of its host.
    return [str(index) for index, _ in enumerate(DEVICES.glob("nvidia[0-9]*"))]


def require_a_gpu_each(processes: int, gpus: int, slots_per_gpu: int) -> None:
    """Raise ValueError where the processes of one run would have to share a GPU, or wait for one another's; without any GPU
    they train on the CPU."""
    if processes > 1 and gpus and (gpus < processes or slots_per_gpu > 1):
        raise ValueError(
            f"{processes} processes of a run need a GPU each: {gpus} visible, {slots_per_gpu} slots on each; "
            f"ask for at most {gpus} processes, and one slot"
        )


@contextlib.contextmanager
def gpu_lease(folder: Path, slots_per_gpu: int = 1, poll_seconds: float = POLL_SECONDS) -> Iterator[str | None]:
    """Lease one slot of one GPU and show this process that GPU alone; None where there is no GPU to lease.

    Steps aside under Slurm, which hands out devices itself (their numbers are relative to the job, so that all jobs would
    take the same lock). Must be entered before CUDA is initialised. The slot is freed when the process ends, however. Raises
    ValueError for no slot, and for processes of one run (``torchrun``) that cannot have a GPU each.
    """
    if slots_per_gpu < 1:
        raise ValueError(f"a GPU has {slots_per_gpu} slots, it must have at least 1")
    gpus = visible_gpus()
    require_a_gpu_each(int(os.environ.get("LOCAL_WORLD_SIZE", 1)), len(gpus), slots_per_gpu)
    if not gpus or "SLURM_JOB_ID" in os.environ:
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    # Nodes, or containers, that share the folder number their own GPUs.
    node = platform.node()
    slots = [(gpu, folder / f"{node}-gpu-{gpu}-slot-{slot}.lock") for slot in range(slots_per_gpu) for gpu in gpus]
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    with contextlib.ExitStack() as stack:
        gpu = _take(slots, stack, poll_seconds)
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        try:
            yield gpu
        finally:
            if before is None:
                del os.environ["CUDA_VISIBLE_DEVICES"]
            else:
                os.environ["CUDA_VISIBLE_DEVICES"] = before


def leased_gpu(device: str, folder: Path, slots_per_gpu: int = 1) -> contextlib.AbstractContextManager[str | None]:
    """:func:`gpu_lease` for a process that takes any GPU; nothing for one that asks for the CPU or for one GPU by number,
    which must not wait for a slot or lose sight of that GPU."""
    return gpu_lease(folder, slots_per_gpu) if device in ("auto", "cuda") else contextlib.nullcontext()


def _take(slots: Sequence[tuple[str, Path]], stack: contextlib.ExitStack, poll_seconds: float) -> str:
    while True:
        for gpu, path in slots:
            if _taken(path, stack):
                return gpu
        time.sleep(poll_seconds)


def _taken(path: Path, stack: contextlib.ExitStack) -> bool:
    """Take the lock for as long as ``stack`` is open; False if somebody else has it."""
    stream = open(path, "a")  # noqa: SIM115 - kept open by the stack when the lock is ours
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        stream.close()
        return False
    stack.enter_context(stream)
    return True
