"""``sparsify``: what may be asked, what is refused and how, what is found in a model, what a state fits."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD

from sparse_methods import LayerCount, NonFiniteScoreError, Sparsifier, sparsify
from sparse_methods.method import Layer
from sparse_methods.methods import METHODS, make
from sparse_methods.network import maskable_weights


class Nested(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.body = nn.Sequential(nn.BatchNorm2d(4), nn.ModuleDict({"inner": nn.Linear(4, 6)}))
        self.head = nn.Linear(6, 2)


def sparsified(model: nn.Module, method: Any = "static", sparsity: float | None = 0.5, **options: Any) -> Sparsifier:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    return sparsify(model, optimizer, method, sparsity, **({"total_steps": 100} | options))


def zeros_of(sparse: Sparsifier) -> dict[str, int]:
    return {name: int((~mask).sum()) for name, mask in sparse.masks.items()}


# -- what can be masked ------------------------------------------------------------------------------------------------


def test_layers_are_named_by_their_module_s_path() -> None:
    model = Nested()
    found = maskable_weights(model)
    assert list(found) == ["stem", "body.1.inner", "head"]
    assert found["body.1.inner"] is model.body[1]["inner"].weight


def test_a_module_that_is_the_model_is_called_weight() -> None:
    assert list(maskable_weights(nn.Linear(2, 3))) == ["weight"]


@pytest.mark.parametrize("conv", [nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d])
def test_every_convolution_counts(conv: Callable[..., nn.Module]) -> None:
    assert list(maskable_weights(nn.Sequential(conv(2, 3, 3)))) == ["0"]


def test_recurrent_gate_matrices_are_layers_of_their_own() -> None:
    found = maskable_weights(nn.ModuleDict({"rnn": nn.GRU(3, 4, num_layers=2)}))
    assert {name: tuple(weight.shape) for name, weight in found.items()} == {
        "rnn.weight_ih_l0": (12, 3),
        "rnn.weight_hh_l0": (12, 4),
        "rnn.weight_ih_l1": (12, 4),
        "rnn.weight_hh_l1": (12, 4),
    }


def test_a_tied_weight_appears_once() -> None:
    model = nn.ModuleDict({"first": nn.Linear(4, 4), "other": nn.Linear(4, 5), "twin": nn.Linear(4, 4)})
    model["twin"].weight = model["first"].weight
    assert list(maskable_weights(model)) == ["first", "other"]
    sparse = sparsified(model)
    assert zeros_of(sparse) == {"first": 8, "other": 10}
    assert int((model["twin"].weight == 0).sum()) == 8


def test_biases_normalisation_and_embeddings_are_never_masked() -> None:
    model = nn.ModuleDict(
        {
            "embedding": nn.Embedding(5, 4),
            "norms": nn.ModuleList([nn.BatchNorm1d(4), nn.LayerNorm(4), nn.GroupNorm(2, 4)]),
            "rnn": nn.LSTM(4, 3),
            "out": nn.Linear(3, 2),
        }
    )
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    sparse = sparsified(model, sparsity=0.9)
    assert list(sparse.masks) == ["rnn.weight_ih_l0", "rnn.weight_hh_l0", "out"]
    with_zeros = {name for name, parameter in model.named_parameters() if not parameter.all()}
    assert with_zeros == {"rnn.weight_ih_l0", "rnn.weight_hh_l0", "out.weight"}


# -- masks of your own, rules of your own ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bool, torch.int64, torch.float32])
def test_masks_are_used_as_they_are(dtype: torch.dtype) -> None:
    model = Nested()
    nn.init.ones_(model.head.weight)
    mask = torch.tensor([[1, 0, 0, 1, 0, 0], [0, 0, 0, 0, 1, 0]]).to(dtype)
    sparse = sparsified(model, sparsity=None, masks={"head": mask})
    assert list(sparse.masks) == ["head"] and sparse.masks["head"].equal(mask.bool())
    assert model.head.weight.equal(mask.float())
    assert sparse.requested == {"head": 0.75}
    mask.zero_()
    assert int(sparse.masks["head"].sum()) == 3, "the engine's mask is its own"


def test_masks_can_start_a_method_that_moves(one_layer: Callable[..., Any]) -> None:
    """The count of each layer stays what its mask had, for counts that no short sparsity gives: 1 - 3/7 of 7."""
    for ones in range(8):
        layer = one_layer([[1.0] * 7], "set", [[1] * ones + [0] * (7 - ones)], drop_fraction=0.5)
        layer.step([[0.0] * 7])
        assert sum(layer.mask[0]) == ones


def test_rules_fix_single_layers() -> None:
    sparse = sparsified(Nested(), sparsity=0.5, layers={"stem": "unmasked", "head": 0.25})
    assert zeros_of(sparse) == {"body.1.inner": 12, "head": 3}
    assert sparse.requested == {"body.1.inner": 0.5, "head": 0.25}
    assert sparse.counts() == [
        LayerCount("stem", (4, 1, 3, 3), 36, 36, 0.0, masked=False),
        LayerCount("body.1.inner", (6, 4), 24, 12, 0.5, masked=True),
        LayerCount("head", (2, 6), 12, 9, 0.25, masked=True),
    ]
    assert sparse.sparsity == pytest.approx(15 / 72)


def test_a_method_can_be_given_with_its_options() -> None:
    sparse = sparsified(Nested(), make("snip", {"ranking": "global"}))
    assert sparse.method.ranking == "global"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "riggle"}, "'riggle'.*rigl"),
        ({"sparsity": None}, "'static' needs a sparsity"),
        ({"sparsity": 1.0}, "sparsity is 1.0"),
        ({"sparsity": -0.1}, "sparsity is -0.1"),
        ({"distribution": "normal"}, "'normal'.*uniform.*erdos_renyi.*erk"),
        ({"layers": {"conv": 0.5}}, "'conv'.*stem.*body.1.inner.*head"),
        ({"layers": {"head": 1.2}}, "'head'.*unmasked"),
        ({"layers": dict.fromkeys(("stem", "body.1.inner", "head"), "unmasked")}, "stem.*body.1.inner.*head"),
        ({"masks": {}}, "masks are empty.*stem"),
        ({"masks": {"conv": torch.ones(2)}}, "'conv'.*stem.*body.1.inner.*head"),
        ({"masks": {"head": torch.ones(6, 2)}}, r"'head'.*\(6, 2\).*\(2, 6\)"),
        ({"masks": {"head": torch.full((2, 6), 0.5)}}, "'head'.*other than 0 and 1"),
        ({"masks": {"head": torch.full((2, 6), float("nan"))}}, "'head'.*other than 0 and 1"),
        ({"total_steps": 0}, "total_steps"),
        ({"update_every": 0}, "update_every"),
        ({"drop_fraction": 2.0}, "drop_fraction"),
        ({"decay": "linear"}, "decay"),
    ],
)
def test_what_is_refused_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sparsified(Nested(), **options)


def test_a_model_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="no weights to mask"):
        sparsified(nn.Sequential(nn.LayerNorm(3)))


def test_an_optimizer_without_a_masked_weight_is_refused() -> None:
    model = Nested()
    optimizer = torch.optim.SGD([*model.stem.parameters(), *model.body.parameters()], lr=0.1)
    with pytest.raises(ValueError, match=r"does not hold.*head"):
        sparsify(model, optimizer, "static", 0.5, total_steps=10)


def test_weight_decay_is_that_of_the_weight_s_own_group() -> None:
    """SNIP with |(g + wd w) w|: decay 0 and 1 in two groups. w = 1 2, g = 3 -2: 3 4 without, 4 0 with decay."""
    model = nn.ModuleDict({"plain": nn.Linear(2, 1, bias=False), "decayed": nn.Linear(2, 1, bias=False)})
    for layer in model.values():
        layer.weight.data = torch.tensor([[1.0, 2.0]])
    groups = [
        {"params": model["plain"].parameters(), "weight_decay": 0.0},
        {"params": model["decayed"].parameters(), "weight_decay": 1.0},
    ]
    sparse = sparsify(model, torch.optim.SGD(groups, lr=0.1), "snip", 0.5, total_steps=10)
    sum((layer.weight * torch.tensor([[3.0, -2.0]])).sum() for layer in model.values()).backward()
    sparse.step()
    assert {name: mask.int().tolist() for name, mask in sparse.masks.items()} == {
        "plain": [[0, 1]],
        "decayed": [[1, 0]],
    }


def test_a_step_without_gradients_says_so(one_layer: Callable[..., Any]) -> None:
    layer = one_layer([[1.0, 2.0]], "static", sparsity=0.5)
    with pytest.raises(RuntimeError, match=r"'weight'.*backward"):
        layer.sparse.step()


# -- reading -----------------------------------------------------------------------------------------------------------


def test_masks_are_copies() -> None:
    sparse = sparsified(Nested())
    before = sparse.digest()
    for mask in sparse.masks.values():
        mask.fill_(True)
    assert sparse.digest() == before


def test_digest_tells_topologies_apart() -> None:
    def digest(head: list[int], tail: list[int]) -> str:
        masks = {"head": torch.tensor([head]), "tail": torch.tensor([tail])}
        model = nn.ModuleDict({name: nn.Linear(3, 1) for name in masks})
        return sparsified(model, sparsity=None, masks=masks).digest()

    digests = [digest([1, 0, 0], [0, 1, 0]), digest([0, 1, 0], [1, 0, 0]), digest([1, 0, 0], [0, 0, 1])]
    assert len(set(digests)) == 3
    assert digest([1, 0, 0], [0, 1, 0]) == digests[0]
    assert all(len(one) == 64 for one in digests)


# -- saving ------------------------------------------------------------------------------------------------------------


def test_a_state_of_another_method_is_refused() -> None:
    state = sparsified(Nested(), "set").state_dict()
    with pytest.raises(ValueError, match=r"'set'.*'rigl'"):
        sparsified(Nested(), "rigl").load_state_dict(state)


def test_a_state_of_another_network_is_refused() -> None:
    ours = sparsified(Nested(), "rigl")
    other_layers = sparsified(nn.Sequential(nn.Linear(2, 2)), "rigl")
    other_shape = Nested()
    other_shape.head = nn.Linear(6, 3)
    other_pool = sparsified(Nested(), "rigl", layers={"stem": "unmasked"})
    before = ours.digest()
    for other in (other_layers, sparsified(other_shape, "rigl"), other_pool):
        with pytest.raises(ValueError, match="this network has"):
            ours.load_state_dict(other.state_dict())
    assert ours.digest() == before


def test_loading_makes_the_zeros_real(one_layer: Callable[..., Any]) -> None:
    saved = one_layer([[1.0, 2.0, 3.0]], "static", [[0, 1, 1]]).sparse.state_dict()
    layer = one_layer([[1.0, 2.0, 3.0]], "static", [[1, 1, 0]])
    layer.model.weight.data = torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64)
    layer.sparse.load_state_dict(saved)
    assert (layer.mask, layer.weights) == ([[0, 1, 1]], [[0.0, 2.0, 3.0]])
    assert layer.sparse.counts()[0].nonzeros == 2
    layer.step([[5.0, 1.0, 1.0]])
    assert layer.weights == [[0.0, 1.0, 2.0]]


def test_a_mean_gradient_is_saved(one_layer: Callable[..., Any]) -> None:
    """SNFS's mean of three batches decides in another engine: index 2 by its past, not index 3 by the last gradient."""

    def layer() -> Any:
        return one_layer([[1.0, 2.0, 0.0, 0.0]], "snfs", [[1, 1, 0, 0]], begin=2, drop_fraction=0.5, decay="constant")

    first, second = layer(), layer()
    first.step([[0.0, 0.0, 10.0, 0.0]])
    second.sparse.load_state_dict(first.sparse.state_dict())
    second.step([[0.0, 0.0, 0.0, 8.0]])
    assert second.mask == [[0, 1, 1, 0]]
    forgetful = layer()
    forgetful.step([[0.0] * 4])
    forgetful.step([[0.0, 0.0, 0.0, 8.0]])
    assert forgetful.mask == [[0, 1, 0, 1]]


# -- divergence --------------------------------------------------------------------------------------------------------

NAN = float("nan")


@pytest.mark.parametrize(
    ("method", "gradient"),
    [
        ("rigl", [[0.0, 0.0, NAN, 0.0]]),
        ("snfs", [[0.0, 0.0, NAN, 0.0]]),
        ("set", [[NAN, 0.0, 0.0, 0.0]]),
    ],
)
def test_a_score_that_is_not_a_number_is_an_error_that_names_the_layer(
    one_layer: Callable[..., Any], method: str, gradient: list[list[float]]
) -> None:
    """In an inactive weight's gradient (rigl, snfs), or by a weight that the step has made NaN (set)."""
    layer = one_layer([[1.0, 2.0, 0.0, 0.0]], method, [[1, 1, 0, 0]], drop_fraction=0.5, decay="constant")
    with pytest.raises(NonFiniteScoreError, match="'weight'"):
        layer.step(gradient)


def test_snip_refuses_a_first_batch_without_a_loss(one_layer: Callable[..., Any]) -> None:
    layer = one_layer([[1.0, 2.0]], "snip", sparsity=0.5)
    with pytest.raises(NonFiniteScoreError, match="'weight'"):
        layer.step([[NAN, 1.0]])


def test_pruning_refuses_weights_that_are_not_numbers(one_layer: Callable[..., Any]) -> None:
    layer = one_layer([[1.0, 2.0]], "pruning", sparsity=0.5, update_every=1, end=2)
    with pytest.raises(NonFiniteScoreError, match="'weight'"):
        layer.step([[NAN, 1.0]])


# -- bookkeeping -------------------------------------------------------------------------------------------------------


def test_dense_and_small_dense_take_any_optimizer_and_no_sparsity() -> None:
    """There is no mask whose state an unknown optimizer could spoil."""
    model = nn.Linear(3, 2)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1)
    for method in ("dense", "small_dense"):
        sparse = sparsify(model, optimizer, method, total_steps=10)
        model(torch.ones(1, 3)).sum().backward()
        assert sparse.step() is True
        assert (sparse.masks, sparse.needs_dense_gradient, sparse.update_due) == ({}, False, False)


def test_random_scores_are_uniform_and_follow_the_growth_seed(one_layer: Callable[..., Any]) -> None:
    """1,000 scores in [0, 1): mean 0.5 +- 5 standard deviations (0.0091), and never the same ones twice."""
    seen: list[Tensor] = []
    for seed in (0, 0, 1):
        layer = one_layer([[1.0] * 1000], "set", sparsity=0.5, seed=seed)
        (inner,) = layer.sparse._layers.values()
        seen += [inner.random(), inner.random()]
    assert all(scores.min() >= 0 and scores.max() < 1 for scores in seen)
    assert all(abs(float(scores.mean()) - 0.5) < 5 * 0.0091 for scores in seen)
    assert seen[0].equal(seen[2]) and seen[1].equal(seen[3])
    assert not seen[0].equal(seen[1]) and not seen[0].equal(seen[4])


def test_two_engines_do_not_share_their_state() -> None:
    momentum = partial(torch.optim.SGD, lr=0.1, momentum=0.9)
    models = [nn.Linear(4, 4), nn.Linear(4, 4)]
    one, other = (sparsify(m, momentum(m.parameters()), "snfs", 0.5, total_steps=10) for m in models)
    models[0](torch.ones(1, 4)).sum().backward()
    one.step()
    assert (one.steps, other.steps) == (1, 0)
    assert not other.state_dict()["layer_state"]["weight"]


def test_hooks_find_the_learning_rate_of_their_step(one_layer: Callable[..., Any]) -> None:
    """Whether a step updates, observes, or moves weights: steps that ask nothing of the method do not tell it."""
    heard: list[tuple[str, float]] = []

    class Listener(METHODS["set"]):
        name = "listener"

        def needs_dense_gradient(self, step: int, update_due: bool) -> bool:
            return step == 2

        def observe(self, layer: Layer) -> None:
            heard.append(("observe", layer.learning_rate))

        def grow_score(self, layer: Layer) -> Tensor:
            heard.append(("grow", layer.learning_rate))
            return layer.random()

    class Mover(Listener):
        def after_step(self, layer: Layer) -> None:
            heard.append(("after", layer.learning_rate))

    for method, told in ((Listener(), []), (Mover(), ["after"])):
        heard.clear()
        layer = one_layer([[1.0, 2.0, 3.0, 4.0]], method, mask=[[1, 1, 1, 0]], update_every=4, drop_fraction=0.5)
        for step in range(5):
            layer.optimizer.param_groups[0]["lr"] = float(step)
            layer.step([[0.1, 0.1, 0.1, 0.1]])
        expected = [(hook, float(step)) for step in range(5) for hook in (["observe"] * (step == 2)) + told]
        grown = [("grow", 0.0), ("grow", 4.0)]
        assert sorted(heard, key=lambda item: item[::-1]) == sorted(expected + grown, key=lambda item: item[::-1])


def test_gradual_pruning_needs_an_end() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="needs an end"):
        sparsify(model, SGD(model.parameters(), lr=0.1), "pruning", 0.5, total_steps=10, end="never")


def test_a_method_without_masks_takes_none() -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="'dense' trains without masks"):
        sparsify(model, SGD(model.parameters(), lr=0.1), "dense", total_steps=10, masks={"weight": torch.ones(4, 4)})


@pytest.mark.parametrize(
    "decay", ["inverse_power:nan", "inverse_power:-1", "inverse_power:0", "inverse_power:inf", "linear"]
)
def test_a_decay_without_a_positive_power_is_refused(decay: str) -> None:
    model = nn.Linear(4, 4)
    with pytest.raises(ValueError, match="decay is"):
        sparsify(model, SGD(model.parameters(), lr=0.1), "rigl", 0.5, total_steps=10, decay=decay)


def test_an_unknown_ranking_of_snip_is_refused() -> None:
    with pytest.raises(ValueError, match="'layer' or 'global'"):
        make("snip", {"ranking": "bogus"})


def test_a_score_that_is_nan_changes_no_mask() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    sparse = sparsify(model, SGD(model.parameters(), lr=0.1), "rigl", 0.5, total_steps=10)
    before = sparse.digest()
    model(torch.ones(1, 4)).sum().backward()
    model[1].weight.grad[0, 0] = math.nan
    with pytest.raises(NonFiniteScoreError, match="'1'"):
        sparse.step()
    assert sparse.digest() == before
