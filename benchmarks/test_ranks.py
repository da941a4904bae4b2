"""What it adds to training that ranks compare their masks after every update."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable

from benchmarks.paired import Rounds

COMMAND = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "benchmarks.agreement")


def test_agreement_on_masks(rounds: Callable[..., Rounds], record: Callable[..., None]) -> None:
    """In processes of their own, a second of work after seconds of start."""

    def share() -> float:
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        ended = subprocess.run(
            [sys.executable, *COMMAND], env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(ended.stdout)

    record("agreement-lenet300", rounds({"share": share}, wanted=3, least=1, warm=False).value("share"))
