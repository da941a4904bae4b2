"""A layer that would not fit as a dense one."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("numba", reason="the sparse execution needs numba, an optional extra")

SCRIPT = """
import json, torch
from pathlib import Path
from torch import nn
from torch.nn import functional
from sparse_methods import sparsify
from sparse_methods.execution.linear import SparseLinear

def resident():
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1024

torch.set_num_threads(1)
before = resident()
model = nn.Sequential(SparseLinear.random(16384, 16384, 0.999, seed=0))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
sparse = sparsify(model, optimizer, "rigl", total_steps=100, update_every=70, begin=20, execution="sparse")
start = model[0].pattern.positions
inputs, wanted = torch.randn(16, 16384), torch.randn(16, 16384)
losses = []
while sparse.steps < 100:
    optimizer.zero_grad()
    loss = functional.mse_loss(model(inputs), wanted)
    loss.backward()
    sparse.step()
    losses.append(loss.item())
print(json.dumps({
    "megabytes": (resident() - before) / 2**20, "updates": sparse.updates, "nonzeros": sparse.nonzeros["0"],
    "moved": bool((model[0].pattern.positions != start).any()), "first": losses[0], "last": losses[-1],
}))
"""


def test_a_layer_of_16384_by_16384_trains_in_400_megabytes() -> None:
    """Its dense weight alone would be 1,024 MB; an update of RigL is among the steps."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["megabytes"] <= 400
    assert found["nonzeros"] == 16384 * 16384 - int(0.999 * 16384 * 16384)
    assert found["updates"] == 1
    assert found["moved"]
    assert found["last"] < found["first"]
