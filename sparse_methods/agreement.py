"""Whether all processes that train one network together chose the same masks."""

from __future__ import annotations

import torch
from torch import Tensor, distributed


class MasksDisagreeError(RuntimeError):
    """Two ranks chose different topologies, so that they no longer train one network."""


def ranks() -> int:
    """Processes of torch.distributed's default group; 1 where there is none."""
    together = distributed.is_available() and distributed.is_initialized()
    return distributed.get_world_size() if together else 1


def from_first(tensor: Tensor) -> Tensor:
    """Rank 0's ``tensor`` on all ranks, which must call this too; itself where there is one process."""
    if ranks() == 1:
        return tensor
    shared = tensor.clone(memory_format=torch.contiguous_format)
    distributed.broadcast(shared, 0)
    return shared


def require_equal(digest: str, device: torch.device, moment: str) -> None:
    """Compare a SHA-256 of masks, in hex digits, with those of all ranks, which must call this too.

    ``device`` is one that the group exchanges tensors of. Raises MasksDisagreeError, which names two digests and the
    ``moment``, on every rank.
    """
    own = torch.tensor(list(bytes.fromhex(digest)), dtype=torch.uint8, device=device)
    gathered = [torch.empty_like(own) for _ in range(ranks())]
    distributed.all_gather(gathered, own)
    digests = [bytes(one.tolist()).hex() for one in gathered]
    other = next((rank for rank, found in enumerate(digests) if found != digests[0]), None)
    if other is not None:
        raise MasksDisagreeError(
            f"{moment} the masks of rank 0 have the digest {digests[0]}, those of rank {other} {digests[other]}: "
            "every rank must start from the same seed, weights and masks and see gradients that are averaged over all ranks"
        )
