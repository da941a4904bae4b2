"""Checkpoints: whole or not there, round trips of any state, and refusals that say the way out."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn

from pipeline import checkpoint
from pipeline.checkpoint import CheckpointError

DIGEST = "12345678"


def same(one: Any, other: Any) -> bool:
    """Equal, with tensors of equal type, shape and bits, and keys of equal type; tuples come back as lists."""
    if isinstance(one, torch.Tensor):
        return (
            isinstance(other, torch.Tensor)
            and (one.dtype, one.shape) == (other.dtype, other.shape)
            and torch.equal(one.contiguous().view(-1).view(torch.uint8), other.contiguous().view(-1).view(torch.uint8))
        )
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and [(type(key), key) for key in one] == [(type(key), key) for key in other]
            and all(same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list | tuple):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float) and math.isnan(one):
        return isinstance(other, float) and math.isnan(other)
    return type(one) is type(other) and one == other


def checkpoints(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def round_trip(folder: Path, state: Any) -> Any:
    checkpoint.save(folder, 1, state, DIGEST)
    return checkpoint.load(folder, DIGEST)


# -- round trips ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "state",
    [
        {},
        None,
        [],
        {"empty": {}, "list": [], "none": None, "text": "ü", "flag": True, "count": 0},
        {0: {"step": 1}, 1: {}, "1": "another key", -3: [1, [2, {4: None}]]},
        {"nan": float("nan"), "infinity": -float("inf"), "tiny": 5e-324, "large": 2**70, "exact": 0.1 + 0.2},
        {"mask": torch.tensor([[True, False], [False, True]])},
        {"scalar": torch.tensor(1.5, dtype=torch.float64), "count": torch.tensor(7)},
        {"half": torch.tensor([1.0, -2.5, float("nan")], dtype=torch.bfloat16), "bytes": torch.arange(5).byte()},
        {"none": torch.zeros(0, 3), "special": torch.tensor([float("inf"), -0.0])},
        {"transposed": torch.arange(6.0).view(2, 3).t(), "strided": torch.arange(10)[::3]},
        torch.arange(3),
        {"looks like a reference": {"tensor": "/x", "items": [], "list": 1, "value": 2}, "tensor": torch.ones(1)},
        {"random": torch.get_rng_state()},
    ],
    ids=lambda state: next(iter(state), "empty") if isinstance(state, dict) else type(state).__name__,
)
def test_round_trip(tmp_path: Path, state: Any) -> None:
    assert same(state, round_trip(tmp_path, state))


@given(order=st.permutations(range(4)))
@settings(max_examples=12)
def test_dimensions_keep_their_order_in_memory(order: list[int]) -> None:
    tensor = torch.arange(120.0).view(2, 3, 4, 5).permute(order)
    with tempfile.TemporaryDirectory() as folder:
        again = round_trip(Path(folder), [tensor])[0]
    assert torch.equal(again, tensor)
    assert again.stride() == tensor.stride()


def test_tensors_that_share_memory_come_back_apart_and_equal(tmp_path: Path) -> None:
    weight = torch.arange(4.0)
    again = round_trip(tmp_path, {"a": weight, "b": weight, "view": weight[1:]})
    assert same({"a": weight, "b": weight, "view": weight[1:]}, again)


def test_the_state_may_change_after_saving(tmp_path: Path) -> None:
    weight = torch.zeros(3)
    checkpoint.save(tmp_path, 1, {"weight": weight}, DIGEST)
    weight.fill_(1)
    assert torch.equal(checkpoint.load(tmp_path, DIGEST)["weight"], torch.zeros(3))


@pytest.mark.parametrize(
    "state",
    [{"a": {"b": torch.zeros(1)}, "a/b": torch.ones(1)}, {1: torch.zeros(1), "1": torch.ones(1)}],
    ids=["slash", "number and text"],
)
def test_keys_that_look_alike_keep_their_own_tensors(tmp_path: Path, state: dict[Any, Any]) -> None:
    assert same(state, round_trip(tmp_path, state))


@pytest.mark.parametrize(
    "make",
    [
        lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-3),
        lambda parameters: torch.optim.SGD(parameters, lr=0.1),
        lambda parameters: torch.optim.Adam(parameters, lr=0.01, amsgrad=True),
        lambda parameters: torch.optim.AdamW(parameters, lr=0.01),
    ],
    ids=["momentum", "sgd", "adam", "adamw"],
)
def test_an_optimizer_goes_on_from_a_checkpoint(tmp_path: Path, make: Any) -> None:
    torch.manual_seed(0)
    inputs, targets = torch.randn(6, 5, 4), torch.randn(6, 5, 3)

    def fresh() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        return model, make(model.parameters())

    def train(model: nn.Module, optimizer: torch.optim.Optimizer, batches: range) -> None:
        for number in batches:
            optimizer.zero_grad()
            nn.functional.mse_loss(model(inputs[number]), targets[number]).backward()
            optimizer.step()

    straight, optimizer = fresh()
    train(straight, optimizer, range(6))
    halfway, optimizer = fresh()
    train(halfway, optimizer, range(3))
    checkpoint.save(tmp_path, 3, {"model": halfway.state_dict(), "optimizer": optimizer.state_dict()}, DIGEST)
    resumed, optimizer = fresh()
    state = checkpoint.load(tmp_path, DIGEST)
    resumed.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    train(resumed, optimizer, range(3, 6))
    assert same(dict(straight.state_dict()), dict(resumed.state_dict()))


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
TENSORS = st.builds(
    lambda values, dtype, shape: torch.tensor(values).to(dtype).view(shape(len(values))),
    st.lists(st.integers(-3, 3), min_size=1, max_size=4),
    st.sampled_from([torch.float32, torch.float64, torch.bfloat16, torch.int64, torch.uint8, torch.bool]),
    st.sampled_from([lambda size: (size,), lambda size: (1, size), lambda size: (size, 1)]),
) | st.sampled_from([torch.tensor(1), torch.zeros(0), torch.zeros(2, 0)])
# Keys without "/" and numbers that no text spells: look-alikes have a test of their own.
KEYS = st.text(alphabet="ab.", max_size=2) | st.integers(0, 3)
STATES = st.recursive(
    PLAIN | TENSORS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=2).map(tuple) | st.dictionaries(KEYS, inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(STATES)
def test_any_nested_state_comes_back(state: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        assert same(state, round_trip(Path(folder), state))


# -- one whole checkpoint, always -----------------------------------------------------------------------------------------


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path / "nowhere", DIGEST) is None
    assert checkpoint.load(tmp_path, DIGEST) is None


def test_only_the_last_checkpoint_remains(tmp_path: Path) -> None:
    for step in (1, 5, 30):
        checkpoint.save(tmp_path, step, {"step": step}, DIGEST)
        assert checkpoints(tmp_path) == [f"{step:010d}"]
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 30}


def test_a_checkpoint_of_the_same_step_is_replaced(tmp_path: Path) -> None:
    for value in (1, 2):
        checkpoint.save(tmp_path, 5, {"value": value}, DIGEST)
    assert checkpoints(tmp_path) == ["0000000005"]
    assert checkpoint.load(tmp_path, DIGEST) == {"value": 2}


def test_a_draft_of_a_killed_save_is_not_used_and_is_cleared(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 5, {"step": 5}, DIGEST)
    for step in (5, 9):
        draft = tmp_path / f".draft-{step:010d}"
        draft.mkdir()
        (draft / "tensors.safetensors").write_bytes(b"half a fi")
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 5}
    checkpoint.save(tmp_path, 9, {"step": 9}, DIGEST)
    assert checkpoints(tmp_path) == ["0000000009"]
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 9}


def test_a_draft_alone_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / ".draft-0000000005").mkdir()
    assert checkpoint.load(tmp_path, DIGEST) is None


def test_of_an_old_and_a_new_one_the_new_one_counts(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, 9, {"step": 9}, DIGEST)
    shutil.move(tmp_path / "0000000009", tmp_path.parent / "kept")
    checkpoint.save(tmp_path, 5, {"step": 5}, DIGEST)
    shutil.move(tmp_path.parent / "kept", tmp_path / "0000000009")
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 9}
    # The kill fell into the removal of the old one: what is left of it does not matter.
    (tmp_path / "0000000005" / "state.json").unlink()
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 9}


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call that changes the disk is, in turn, the one that never happens."""

    class Killed(BaseException):
        """As if the process had ended here."""

    for last in range(1, 100):
        folder = tmp_path / str(last)
        checkpoint.save(folder, 4, {"step": "old", "t": torch.zeros(2)}, DIGEST)
        calls = 0

        def counted(function: Any, limit: int = last) -> Any:
            def call(*args: Any, **kwargs: Any) -> Any:
                nonlocal calls
                calls += 1
                if calls >= limit:
                    raise Killed
                return function(*args, **kwargs)

            return call

        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "write_bytes", counted(checkpoint.write_bytes))
            patch.setattr(checkpoint.shutil, "rmtree", counted(shutil.rmtree))
            for name in ("mkdir", "rename"):
                patch.setattr(Path, name, counted(getattr(Path, name)))
            try:
                checkpoint.save(folder, 9, {"step": "new", "t": torch.ones(2)}, DIGEST)
                finished = True
            except Killed:
                finished = False
        state = checkpoint.load(folder, DIGEST)
        assert state is not None and state["step"] in ("old", "new"), f"nothing whole is left after call {last}"
        if finished:
            assert state["step"] == "new"
            assert last > 5, "too few moments were tried"
            return
    pytest.fail("the save never finished")


def test_a_stray_file_does_not_stop_the_training(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    checkpoint.save(tmp_path, 1, {"step": 1}, DIGEST)
    assert checkpoint.load(tmp_path, DIGEST) == {"step": 1}


# -- refusals -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoints"
    state = {"weight": torch.arange(100.0), "steps": 9081, "curve": [{"step": 10, "loss": 0.5}]}
    checkpoint.save(folder, 7, state, DIGEST)
    return folder


def refused(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(folder, DIGEST)
    message = str(caught.value)
    assert str(folder / "0000000007") in message
    assert f"delete {folder} to train this run from its start" in message
    assert "\n" not in message
    return message


def edit(path: Path, change: Any) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
@pytest.mark.parametrize(
    "damage",
    [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: data[:-1]],
    ids=["half", "empty", "one byte short"],
)
def test_a_truncated_checkpoint_is_refused(saved: Path, file: str, damage: Any) -> None:
    edit(saved / "0000000007" / file, damage)
    assert "is corrupt or truncated" in refused(saved)


@pytest.mark.parametrize("position", [0, 9, 60, -1])
def test_a_flipped_byte_of_the_tensors_is_refused(saved: Path, position: int) -> None:
    def flip(data: bytes) -> bytes:
        changed = bytearray(data)
        changed[position] ^= 1
        return bytes(changed)

    edit(saved / "0000000007" / "tensors.safetensors", flip)
    assert "its tensors do not match their SHA-256" in refused(saved)


def test_a_changed_digit_of_the_state_is_refused(saved: Path) -> None:
    edit(saved / "0000000007" / "state.json", lambda data: data.replace(b"9081", b"9082"))
    assert "is corrupt or truncated" in refused(saved)


@pytest.mark.parametrize("file", ["tensors.safetensors", "state.json"])
def test_a_missing_file_is_refused(saved: Path, file: str) -> None:
    (saved / "0000000007" / file).unlink()
    assert file in refused(saved)


@pytest.mark.parametrize(
    "text",
    ["not JSON", "[]", "null", "{}", '{"config_digest": "12345678"}', '"text"', "\udcff"],
    ids=["text", "list", "null", "empty", "one key", "string", "bytes"],
)
def test_a_state_that_is_not_one_is_refused(saved: Path, text: str) -> None:
    (saved / "0000000007" / "state.json").write_text(text, errors="surrogateescape")
    assert "is corrupt or truncated" in refused(saved)


@pytest.mark.parametrize("state", [{"tensor": "/elsewhere"}, {}, 3, {"items": [1]}, {"items": [[[], {"value": 1}]]}])
def test_a_state_of_another_form_is_refused(saved: Path, state: Any) -> None:
    path = saved / "0000000007" / "state.json"
    head = json.loads(path.read_text())
    path.write_text(json.dumps({**head, "state": state}))
    assert "is corrupt or truncated" in refused(saved)


def test_a_state_of_another_configuration_is_refused(saved: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoint.load(saved, "87654321")
    assert str(caught.value) == (
        f"checkpoint {saved / '0000000007'} belongs to another configuration (12345678, this is 87654321); "
        f"delete {saved} to train this run from its start"
    )


def test_loading_runs_no_code(tmp_path: Path) -> None:
    folder = tmp_path / "0000000001"
    folder.mkdir()
    (folder / "tensors.safetensors").write_bytes(b"\x80\x04cos\nsystem\n(S'exit 3'\ntR.")
    (folder / "state.json").write_text(
        json.dumps({"config_digest": DIGEST, "tensors_sha256": "0" * 64, "state": {"value": 1}})
    )
    with pytest.raises(CheckpointError):
        checkpoint.load(tmp_path, DIGEST)
