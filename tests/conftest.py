"""Fixtures that every suite shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Test processes run side by side: two threads each would slow both down a hundredfold."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """Local mirrors of the published data sets: RIGL_BENCH_DATA_ROOT, or ../shared/data beside the repository.

    Without either the test is skipped; under CI=true it fails, so that no check is lost in silence.
    """
    named = os.environ.get("RIGL_BENCH_DATA_ROOT")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if folder.is_dir():
        return folder
    reason = f"no data sets: {folder} is not a folder; set RIGL_BENCH_DATA_ROOT to a folder of mirrors"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
