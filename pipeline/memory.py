"""Peak memory of one run among several in a process."""

from __future__ import annotations

from pathlib import Path

import torch

CLEAR, STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def reset_peak(device: torch.device) -> None:
    """Start measuring anew. Where the system cannot (no Linux), :func:`peak_bytes` gives None."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR.exists():
        CLEAR.write_text("5")  # sets the peak resident size back to the present one, see proc(5)


def peak_bytes(device: torch.device) -> int | None:
    """Largest memory since :func:`reset_peak`: of the device's allocator on CUDA, else resident of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not CLEAR.exists():
        return None
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024
