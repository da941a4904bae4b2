"""Locks across processes: who waits, what a kill frees, and that a GPU's slot has one holder at a time."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.lease import gpu_lease, locked, require_a_gpu_each, visible_gpus

REPOSITORY = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 20


def process(code: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def ended(*processes: subprocess.Popen[str]) -> Iterator[None]:
    """Leave no process behind, whatever the test finds."""
    try:
        yield
    finally:
        for one in processes:
            one.kill()
            one.communicate()


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} was not made"
        time.sleep(0.01)


def holder_of_lock(path: Path) -> subprocess.Popen[str]:
    """A process that holds ``path`` until it ends; returns once it does."""
    one = process(
        f"from pathlib import Path\nfrom pipeline.lease import locked\n"
        f"with locked(Path({str(path)!r})):\n    print('held', flush=True)\n    input()"
    )
    assert one.stdout.readline() == "held\n"
    return one


def waiter_for_lock(path: Path, mark: Path) -> subprocess.Popen[str]:
    """A process that makes ``mark`` once it has the lock; returns once it is about to ask."""
    one = process(
        f"from pathlib import Path\nfrom pipeline.lease import locked\nprint('asking', flush=True)\n"
        f"with locked(Path({str(path)!r})):\n    Path({str(mark)!r}).write_text('')"
    )
    assert one.stdout.readline() == "asking\n"
    return one


# -- a run's lock ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [signal.SIGKILL, None], ids=["killed", "done"])
def test_a_lock_keeps_others_waiting_until_its_holder_ends(tmp_path: Path, end: signal.Signals | None) -> None:
    lock, mark = tmp_path / "deep" / "folder" / ".lock", tmp_path / "mark"
    holder = holder_of_lock(lock)
    waiter = waiter_for_lock(lock, mark)
    with ended(holder, waiter):
        time.sleep(0.2)  # long enough for a waiter that does not wait
        assert waiter.poll() is None
        assert not mark.exists()
        if end:
            holder.send_signal(end)
        else:
            holder.communicate("\n")
        wait_for(mark)
        assert waiter.wait(PATIENCE_SECONDS) == 0


def test_a_lock_is_free_again_after_its_block(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / ".lock"):
            pass
    with pytest.raises(RuntimeError, match="mine"), locked(tmp_path / ".lock"):
        raise RuntimeError("mine")
    with locked(tmp_path / ".lock"), locked(tmp_path / ".other"):
        pass


def test_a_lock_leaves_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    with locked(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "content"


# -- which GPUs -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", []),
        ("0", ["0"]),
        ("1,0", ["1", "0"]),
        ("GPU-8932f937,MIG-1", ["GPU-8932f937", "MIG-1"]),
        ("0,", ["0"]),
        ("0, 1", ["0", "1"]),
        ("-1", []),
        ("NoDevFiles", []),
    ],
)
def test_gpus_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, value: str, expected: list[str]) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", value)
    assert visible_gpus() == expected


def test_gpus_are_counted_as_cuda_does_where_nothing_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container that was given the host's third and fourth GPU has device files of those numbers, and devices 0 and 1."""
    for name in ("nvidia2", "nvidia3", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("pipeline.lease.DEVICES", tmp_path)
    assert visible_gpus() == ["0", "1"]


# -- a GPU's lease --------------------------------------------------------------------------------------------------------


def test_a_lease_shows_one_gpu_and_restores_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
    with gpu_lease(tmp_path / "leases") as first:
        assert first == os.environ["CUDA_VISIBLE_DEVICES"] == "5"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,3")
        with gpu_lease(tmp_path / "leases") as second:
            assert second == os.environ["CUDA_VISIBLE_DEVICES"] == "3"
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,3"
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,3"


def test_an_error_inside_a_lease_frees_it_and_restores_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    for _ in range(2):
        with pytest.raises(RuntimeError, match="mine"), gpu_lease(tmp_path):
            raise RuntimeError("mine")
        assert os.environ["CUDA_VISIBLE_DEVICES"] == "0"


def test_slots_fill_every_gpu_before_a_second_one_of_any(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    taken = []
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
            taken.append(stack.enter_context(gpu_lease(tmp_path, slots_per_gpu=2)))
    assert taken == ["0", "1", "0", "1"]


def test_a_variable_that_was_not_set_is_not_set_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr("pipeline.lease.visible_gpus", lambda: ["0"])
    with gpu_lease(tmp_path) as gpu:
        assert gpu == os.environ["CUDA_VISIBLE_DEVICES"] == "0"
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


@pytest.mark.parametrize(
    ("gpus", "slurm"), [("", None), ("0,1", "4711")], ids=["no GPU", "Slurm hands out the devices"]
)
def test_the_lease_steps_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpus: str, slurm: str | None) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", gpus)
    if slurm is not None:
        monkeypatch.setenv("SLURM_JOB_ID", slurm)
    folder = tmp_path / "leases"
    with gpu_lease(folder) as one, gpu_lease(folder) as other:
        assert (one, other) == (None, None)
        assert os.environ["CUDA_VISIBLE_DEVICES"] == gpus
    assert not folder.exists()


def test_no_slots_are_an_error_and_no_endless_wait(tmp_path: Path) -> None:
    one = process(
        f"import os\nos.environ.pop('SLURM_JOB_ID', None)\n"
        f"from pathlib import Path\nfrom pipeline.lease import gpu_lease\n"
        f"with gpu_lease(Path({str(tmp_path)!r}), slots_per_gpu=0):\n    pass",
        CUDA_VISIBLE_DEVICES="0",
    )
    with ended(one):
        try:
            code = one.wait(1.5)
        except subprocess.TimeoutExpired:
            pytest.fail("waits for a slot that cannot come")
        assert code != 0


SHARE = """
import json, sys, time
from pathlib import Path
from pipeline.lease import gpu_lease
folder, name, turns = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
print("ready", flush=True)
input()
for turn in range(turns):
    with gpu_lease(folder / "leases", slots_per_gpu=int(sys.argv[4]), poll_seconds=0.002) as gpu:
        start = time.monotonic_ns()
        time.sleep(0.01)
        interval = [gpu, start, time.monotonic_ns()]
    (folder / f"{name}-{turn}.json").write_text(json.dumps(interval))
"""


@pytest.mark.parametrize("slots", [1, 2])
def test_a_gpu_has_never_more_holders_than_slots(tmp_path: Path, slots: int) -> None:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "0,1"}
    environment.pop("SLURM_JOB_ID", None)
    crowd = [
        subprocess.Popen(
            [sys.executable, "-c", SHARE, str(tmp_path), str(number), "4", str(slots)],
            cwd=REPOSITORY,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(6)
    ]
    with ended(*crowd):
        for one in crowd:
            assert one.stdout.readline() == "ready\n"
        for one in crowd:
            one.stdin.write("\n")
            one.stdin.flush()
        for one in crowd:
            assert one.wait(PATIENCE_SECONDS) == 0
    held: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for file in tmp_path.glob("*.json"):
        gpu, start, end = json.loads(file.read_text())
        held[gpu] += [(start, 1), (end, -1)]
    assert sum(map(len, held.values())) == 2 * 6 * 4
    assert set(held) == {"0", "1"}
    for moments in held.values():
        now = most = 0
        for _, change in sorted(moments):
            now += change
            most = max(most, now)
        assert most <= slots


def test_a_killed_holder_frees_its_slot(tmp_path: Path) -> None:
    def lessee(mark: Path) -> subprocess.Popen[str]:
        one = process(
            f"import os\nos.environ.pop('SLURM_JOB_ID', None)\n"
            f"from pathlib import Path\nfrom pipeline.lease import gpu_lease\nprint('asking', flush=True)\n"
            f"with gpu_lease(Path({str(tmp_path / 'leases')!r}), poll_seconds=0.01) as gpu:\n"
            f"    Path({str(mark)!r}).write_text(gpu)\n    input()",
            CUDA_VISIBLE_DEVICES="7",
        )
        assert one.stdout.readline() == "asking\n"
        return one

    first, second = tmp_path / "first", tmp_path / "second"
    holder = lessee(first)
    wait_for(first)
    waiter = lessee(second)
    with ended(holder, waiter):
        time.sleep(0.2)  # long enough for a waiter that does not wait
        assert not second.exists()
        holder.send_signal(signal.SIGKILL)
        wait_for(second)
        waiter.communicate("\n")
        assert waiter.returncode == 0
        assert second.read_text() == "7"


def test_processes_that_share_a_lock_hear_of_every_try(tmp_path: Path) -> None:
    heard: list[bool] = []
    with contextlib.ExitStack() as another:
        another.enter_context(locked(tmp_path / ".lock"))

        def told(taken: Callable[[], bool]) -> bool:
            if len(heard) == 2:
                another.close()
            heard.append(taken())
            return heard[-1]

        with locked(tmp_path / ".lock", told):
            assert heard == [False, False, True]
            with pytest.raises(BlockingIOError), open(tmp_path / ".lock", "a") as stream:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_who_does_not_ask_holds_nothing(tmp_path: Path) -> None:
    with locked(tmp_path / ".lock", lambda taken: True), open(tmp_path / ".lock", "a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.parametrize(("processes", "gpus", "slots"), [(1, 1, 4), (2, 2, 1), (2, 4, 1), (4, 0, 1), (2, 0, 3)])
def test_processes_of_a_run_that_have_a_gpu_each(processes: int, gpus: int, slots: int) -> None:
    require_a_gpu_each(processes, gpus, slots)


@pytest.mark.parametrize(("processes", "gpus", "slots"), [(2, 1, 1), (4, 2, 2), (2, 2, 2)])
def test_processes_of_a_run_that_would_share_a_gpu(processes: int, gpus: int, slots: int) -> None:
    said = (
        f"{processes} processes of a run need a GPU each: {gpus} visible, {slots} slots on each; ask for at most {gpus}"
    )
    with pytest.raises(ValueError, match=said):
        require_a_gpu_each(processes, gpus, slots)


def test_ranks_do_not_wait_for_gpus_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    with pytest.raises(ValueError, match="2 processes of a run need a GPU each"), gpu_lease(tmp_path):
        pass
