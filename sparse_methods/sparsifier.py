"""The engine: it owns masks, exact counts, zeroing, optimizer state, cadence and their saving.

In the loop ``sparse.step()`` stands where ``optimizer.step()`` stood. Between topology updates it costs one multiplication
of the gradients by the masks: weights and optimizer state that start at zero then stay at zero, exactly, for SGD with
momentum, Adam and AdamW, weight decay included.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparse_methods import methods, topology
from sparse_methods.distributions import LayerRule, layer_sparsities
from sparse_methods.method import Layer, Method
from sparse_methods.optimizer_state import check_known, coupled_weight_decay, mask_state
from sparse_methods.schedules import UpdateSchedule


class NonFiniteScoreError(ArithmeticError):
    """A score is NaN: training has diverged, and no topology can be chosen from it."""


@dataclass(frozen=True)
class LayerCount:
    """What a layer holds now; ``sparsity`` is the achieved one."""

    layer: str
    shape: tuple[int, ...]
    weights: int
    nonzeros: int
    sparsity: float
    masked: bool


def sparsify(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    method: str | Method,
    sparsity: float | None = None,
    distribution: str = "uniform",
    *,
    total_steps: int,
    masks: Mapping[str, Tensor] | None = None,
    layers: Mapping[str, LayerRule] | None = None,
    update_every: int = 100,
    begin: int = 0,
    end: int | Literal["never"] | None = None,
    drop_fraction: float = 0.3,
    decay: str = "cosine",
    seed: int = 0,
) -> Sparsifier:
    """Make ``model`` sparse in place and return the engine that keeps it so::

        sparse = sparsify(model, optimizer, method="rigl", sparsity=0.9, distribution="erk", total_steps=T)
        ...
        loss.backward()
        if sparse.step():           # in place of optimizer.step(); False when a topology update took the step's place
            scheduler.step()

    ``method`` is a name of ``sparse_methods.methods.METHODS`` or a ``Method`` with options. ``masks`` (layer to tensor of
    zeros and ones) brings masks of your own, which then decide alone: layers they do not name stay unmasked, and sparsity,
    distribution and layers are not used. ``layers`` fixes single layers: "unmasked", or an explicit sparsity. ``end`` is
    included; None is three quarters of ``total_steps``; "never" is no end. The same ``seed`` gives every method the same
    random masks. Raises ValueError for unknown names and values out of range, TypeError for an optimizer whose state is not
    known.
    """
    chosen = methods.make(method) if isinstance(method, str) else method
    schedule = UpdateSchedule(total_steps, update_every, begin, end, drop_fraction, decay)
    sparse = Sparsifier(model, optimizer, chosen, schedule, seed)
    if masks is not None and chosen.starts == "unmasked":
        raise ValueError(f"method {chosen.name!r} trains without masks and cannot take any")
    if masks is not None:
        sparse.set_masks(masks)
    elif chosen.starts != "unmasked":
        if sparsity is None:
            raise ValueError(f"method {chosen.name!r} needs a sparsity, or masks")
        sparse.draw_masks(sparsity, distribution, layers or {})
    return sparse


def maskable_weights(model: nn.Module) -> dict[str, nn.Parameter]:
    """Weights of linear, convolutional and recurrent modules by layer name: the module's path, or the parameter's for a
    recurrent module, where each stacked gate matrix is a layer. A weight shared by two modules appears once."""
    found: dict[str, nn.Parameter] = {}
    for path, module in model.named_modules():
        if isinstance(module, (nn.Linear, nn.modules.conv._ConvNd)):
            candidates = {path or "weight": module.weight}
        elif isinstance(module, nn.RNNBase):
            named = module.named_parameters(prefix=path, recurse=False)
            candidates = {name: parameter for name, parameter in named if parameter.ndim >= 2}
        else:
            continue
        known = {id(parameter) for parameter in found.values()}
        found |= {name: parameter for name, parameter in candidates.items() if id(parameter) not in known}
    return found


class Sparsifier:
    """The state of one sparse training. Made by :func:`sparsify`."""

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        method: Method,
        schedule: UpdateSchedule,
        seed: int,
    ) -> None:
        self.model, self.optimizer, self.method, self.schedule, self.seed = model, optimizer, method, schedule, seed
        self.steps = 0
        """Gradient steps taken."""
        self.updates = 0
        """Topology updates made; choosing masks from the first batch is not one."""
        self.last_update = schedule.begin - schedule.update_every
        self.awaits_first_batch = False
        self.nonzeros: dict[str, int] = {}
        """Active weights of each masked layer; a new mapping whenever masks change."""
        self._weights = maskable_weights(model)
        if not self._weights:
            raise ValueError("the model has no weights to mask: no linear, convolutional or recurrent module")
        self._layers: dict[str, Layer] = {}
        self._multipliers: dict[str, Tensor] = {}
        self._growth = torch.Generator().manual_seed(_derive(seed, "growth", method.name))
        if method.updates != "never":
            # A schedule that the method cannot follow fails here and not at its first update.
            method.drop_fraction(schedule.begin, schedule)
            method.sparsity_at(schedule.begin, 0.0, schedule)

    # -- masks -------------------------------------------------------------------------------------------------------

    def draw_masks(self, sparsity: float, distribution: str, rules: Mapping[str, LayerRule]) -> None:
        """Share ``sparsity`` among the layers and give each its first mask."""
        shapes = {name: tuple(weight.shape) for name, weight in self._weights.items()}
        requested = layer_sparsities(distribution, sparsity, shapes, rules)
        generator = torch.Generator().manual_seed(_derive(self.seed, "mask"))
        masks = {}
        for name, layer_sparsity in requested.items():
            if layer_sparsity is not None:
                zeros = topology.zero_count(layer_sparsity, math.prod(shapes[name]))
                zeros = zeros if self.method.starts == "random" else 0
                masks[name] = topology.random_mask(shapes[name], zeros, generator)
        self._install(masks, requested)
        self.awaits_first_batch = self.method.starts == "first_batch"

    def set_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Use ``masks`` as they are; their sparsity is what is requested of each layer."""
        for name, mask in masks.items():
            if name not in self._weights:
                raise ValueError(f"masks name an unknown layer {name!r}; there are {', '.join(self._weights)}")
            expected = tuple(self._weights[name].shape)
            if tuple(mask.shape) != expected:
                raise ValueError(f"the mask of {name!r} has shape {tuple(mask.shape)}, the weight has {expected}")
            if not bool(((mask == 0) | (mask == 1)).all()):
                raise ValueError(f"the mask of {name!r} has values other than 0 and 1")
        if not masks:
            raise ValueError(f"masks are empty; there are layers {', '.join(self._weights)}")
        chosen = {name: mask.detach().to("cpu", torch.bool).clone() for name, mask in masks.items()}
        self._install(chosen, {name: 1 - int(mask.sum()) / mask.numel() for name, mask in chosen.items()})

    def _install(self, masks: Mapping[str, Tensor], requested: Mapping[str, float | None]) -> None:
        check_known(self.optimizer, {name: self._weights[name] for name in masks})
        for name, mask in masks.items():
            weight = self._weights[name]
            self._layers[name] = Layer(
                name=name,
                weight=weight,
                mask=mask.to(weight.device),
                sparsity=requested[name] or 0.0,
                generator=self._growth,
                weight_decay=coupled_weight_decay(self.optimizer, weight),
            )
        self._apply_masks()

    @torch.no_grad()
    def _apply_masks(self) -> None:
        """Make the zeros real, in weights and in optimizer state. A weight that was inactive before is zero already."""
        for name, layer in self._layers.items():
            multiplier = layer.mask.to(layer.weight.dtype)
            layer.weight.mul_(multiplier)
            mask_state(self.optimizer, layer.weight, multiplier)
            self._multipliers[name] = multiplier
        self.nonzeros = {name: int(layer.mask.sum()) for name, layer in self._layers.items()}

    # -- the step ----------------------------------------------------------------------------------------------------

    @property
    def update_due(self) -> bool:
        """Whether the next call of ``step`` makes a topology update."""
        if self.method.updates == "never" or self.awaits_first_batch:
            return False
        return self.method.is_due(self._update_step, self.last_update, self.schedule)

    @property
    def needs_dense_gradient(self) -> bool:
        """Whether the next call of ``step`` uses the gradient of inactive weights."""
        return bool(self._layers) and self.method.needs_dense_gradient(self.steps, self.update_due)

    @property
    def _update_step(self) -> int:
        return self.steps + (self.method.updates == "after_step")

    def step(self, clip_norm: float | None = None) -> bool:
        """Use the gradients of ``loss.backward()``: take the optimizer's step, or change topology, or both.

        Returns False when a topology update (RigL) or the choice of the first mask (SNIP) took the step's place; the
        caller then does not advance its learning rate. ``clip_norm`` clips the global gradient norm of active weights.
        Raises NonFiniteScoreError when a score is NaN.
        """
        if self.awaits_first_batch:
            self._choose_first_masks()
            return False
        update_due = self.update_due
        if update_due and self.method.updates == "instead_of_step":
            self._update_topology()
            return False
        dense_gradients = self._observe_dense_gradients(keep=update_due) if self.needs_dense_gradient else {}
        self._mask_gradients()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip_norm)
        self.optimizer.step()
        self.steps += 1
        if update_due:
            for name, gradient in dense_gradients.items():
                self._layers[name].weight.grad = gradient
            self._update_topology()
        return True

    def _observe_dense_gradients(self, keep: bool) -> dict[str, Tensor]:
        """Show the method every dense gradient; keep copies for an update that follows the step, which masks them."""
        for layer in self._layers.values():
            self.method.observe(layer)
        return {name: layer.gradient.clone() for name, layer in self._layers.items()} if keep else {}

    def _mask_gradients(self) -> None:
        gradients = [layer.gradient for layer in self._layers.values()]
        if gradients:
            torch._foreach_mul_(gradients, list(self._multipliers.values()))

    @torch.no_grad()
    def _update_topology(self) -> None:
        """One topology update of all layers at this step, or of none: a score that is NaN changes no mask."""
        fraction = self.method.drop_fraction(self.steps, self.schedule)
        masks = {name: self._updated_mask(layer, fraction) for name, layer in self._layers.items()}
        for name, layer in self._layers.items():
            layer.mask = masks[name]
        self._apply_masks()
        self.last_update = self.steps
        self.updates += 1

    def _updated_mask(self, layer: Layer, fraction: float) -> Tensor:
        """Prune to the sparsity of this step, then drop and grow, by exact counts."""
        mask, active, weights = layer.mask, int(layer.mask.sum()), layer.mask.numel()
        drop_score = _checked(self.method.drop_score(layer), layer)
        sparsity = self.method.sparsity_at(self.steps, layer.sparsity, self.schedule)
        allowed = weights - topology.zero_count(sparsity, weights)
        if allowed < active:
            mask, active = topology.largest(drop_score, allowed, among=mask), allowed
        count = topology.drop_count(active, fraction)
        if count == 0:
            return mask
        grow_score = _checked(self.method.grow_score(layer), layer)
        return topology.drop_and_grow(mask, drop_score, grow_score, count)

    @torch.no_grad()
    def _choose_first_masks(self) -> None:
        scores = {name: _checked(self.method.initialize(layer), layer) for name, layer in self._layers.items()}
        keep = {
            name: layer.mask.numel() - topology.zero_count(layer.sparsity, layer.mask.numel())
            for name, layer in self._layers.items()
        }
        if self.method.ranks_globally:
            flat = torch.cat([score.flatten() for score in scores.values()])
            chosen = topology.largest(flat, sum(keep.values()), among=torch.ones_like(flat, dtype=torch.bool))
            parts = chosen.split([score.numel() for score in scores.values()])
            for layer, part in zip(self._layers.values(), parts, strict=True):
                layer.mask = part.view(layer.mask.shape)
        else:
            for name, layer in self._layers.items():
                layer.mask = topology.largest(scores[name], keep[name], among=layer.mask)
        self._apply_masks()
        self.awaits_first_batch = False

    # -- reading, saving -----------------------------------------------------------------------------------------------

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean masks of the masked layers, by layer name; copies."""
        return {name: layer.mask.clone() for name, layer in self._layers.items()}

    @property
    def requested(self) -> dict[str, float]:
        """Sparsity asked of each masked layer at the end of training."""
        return {name: layer.sparsity for name, layer in self._layers.items()}

    def counts(self) -> list[LayerCount]:
        """Every maskable layer as it is now, unmasked ones included, in the model's order."""
        rows = []
        for name, weight in self._weights.items():
            nonzeros = self.nonzeros[name] if name in self._layers else weight.numel()
            sparsity = 1 - nonzeros / weight.numel()
            rows.append(
                LayerCount(name, tuple(weight.shape), weight.numel(), nonzeros, sparsity, masked=name in self._layers)
            )
        return rows

    @property
    def sparsity(self) -> float:
        """Achieved share of zeros over all maskable layers, unmasked ones included."""
        rows = self.counts()
        return 1 - sum(row.nonzeros for row in rows) / sum(row.weights for row in rows)

    def digest(self) -> str:
        """SHA-256 of all masks: equal digests are equal topologies."""
        digest = hashlib.sha256()
        for name, layer in self._layers.items():
            digest.update(name.encode())
            digest.update(layer.mask.cpu().numpy().tobytes())
        return digest.hexdigest()

    def state_dict(self) -> dict[str, Any]:
        """Everything the engine needs to go on, as tensors and plain values; weights and optimizer are the caller's."""
        return {
            "method": self.method.name,
            "steps": self.steps,
            "updates": self.updates,
            "last_update": self.last_update,
            "awaits_first_batch": self.awaits_first_batch,
            "masks": self.masks,
            "requested": self.requested,
            "layer_state": {
                name: {key: value.clone() for key, value in layer.state.items()} for name, layer in self._layers.items()
            },
            "growth": self._growth.get_state(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`. Load model and optimizer first. Raises ValueError for another method's or
        another network's state."""
        if state["method"] != self.method.name:
            raise ValueError(f"the state is of method {state['method']!r}, this is {self.method.name!r}")
        ours, theirs = ({name: tuple(mask.shape) for name, mask in m.items()} for m in (self.masks, state["masks"]))
        if ours != theirs:
            raise ValueError(f"the state masks {theirs}, this network has {ours}")
        self.steps, self.updates = state["steps"], state["updates"]
        self.last_update, self.awaits_first_batch = state["last_update"], state["awaits_first_batch"]
        self._growth.set_state(state["growth"])
        for name, layer in self._layers.items():
            layer.mask = state["masks"][name].to(layer.weight.device, torch.bool).clone()
            layer.sparsity = state["requested"][name]
            saved = state["layer_state"].get(name, {})
            layer.state = {key: value.to(layer.weight.device).clone() for key, value in saved.items()}
        self._apply_masks()


def _checked(score: Tensor, layer: Layer) -> Tensor:
    if bool(score.isnan().any()):
        raise NonFiniteScoreError(f"a score of layer {layer.name!r} is NaN: training has diverged")
    return score


def _derive(*parts: Any) -> int:
    """A generator's seed from named parts, the same in every process."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
