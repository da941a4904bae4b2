"""The engine: it owns masks, exact counts, zeroing, optimizer state, cadence and their saving.

In the loop ``sparse.step()`` stands where ``optimizer.step()`` stood. Between topology updates it costs one multiplication
of the gradients by the masks: weights and optimizer state that start at zero then stay at zero, exactly, for SGD with
momentum, Adam and AdamW, weight decay included. Methods that train all weights behind a mask go through
``dense_parameters.py``, all others through ``sparse_parameters.py``, first masks by scores through ``first_mask.py``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sparse_methods import agreement, dense_parameters, first_mask, methods, sparse_parameters, topology
from sparse_methods.distributions import LayerRule, layer_sparsities
from sparse_methods.method import Batch, CannotError, Layer, Method, Request, refusal
from sparse_methods.network import LayerCount, maskable_weights
from sparse_methods.optimizer_state import check_known, coupled_weight_decay, group_index, mask_state
from sparse_methods.schedules import UpdateSchedule


def sparsify(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    method: str | Method,
    sparsity: float | None = None,
    distribution: str = "uniform",
    *,
    total_steps: int,
    masks: Mapping[str, Tensor] | None = None,
    origin: Mapping[str, Tensor] | None = None,
    layers: Mapping[str, LayerRule] | None = None,
    update_every: int = 100,
    begin: int = 0,
    end: int | Literal["never"] | None = None,
    drop_fraction: float = 0.3,
    decay: str = "cosine",
    seed: int = 0,
    execution: Literal["masked", "sparse", "auto"] = "masked",
) -> Sparsifier:
    """Make ``model`` sparse in place and return the engine that keeps it so::

        sparse = sparsify(model, optimizer, method="rigl", sparsity=0.9, distribution="erk", total_steps=T)
        ...
        loss.backward()
        if sparse.step():           # in place of optimizer.step(); False when a topology update took the step's place
            scheduler.step()

    ``method`` is a name of ``sparse_methods.methods.METHODS`` or a ``Method`` with options. ``masks`` (layer to tensor of
    zeros and ones) brings masks of your own, which then decide alone: layers they do not name stay unmasked, and sparsity,
    distribution and layers are not used. ``origin`` (layer to weight) is what a finished training left, for methods that
    choose their mask from it. ``layers`` fixes single layers: "unmasked", or an explicit sparsity. ``end`` is included; None
    is three quarters of ``total_steps``; "never" is no end. The same ``seed`` gives every method the same random masks.
    ``execution`` is how sparsity is computed with: "masked", dense tensors multiplied by masks; "sparse", linear layers that
    hold active weights alone (``sparse_methods.execution``), put into ``model`` in the place of the masked ones, or those that
    it was built with; or "auto", sparse where it is served and expected to be faster.
    Make the learning-rate scheduler after this call: a method may give the optimizer parameters of its own. Raises
    CannotError (a ValueError) for what the method cannot do, ValueError for unknown names and values out of range,
    TypeError for an optimizer whose state is not known.
    """
    chosen = methods.make(method) if isinstance(method, str) else method
    schedule = UpdateSchedule(total_steps, update_every, begin, end, drop_fraction, decay)
    if execution == "masked":
        sparse = Sparsifier(model, optimizer, chosen, schedule, seed)
    else:
        # Imported here: numba is optional, and compiles.
        from sparse_methods import execution as executions

        engine = executions.engine_for(execution, model, chosen, schedule, sparsity, distribution, layers or {}, masks)
        sparse = engine(model, optimizer, chosen, schedule, seed)
        if sparse.take_as_built():
            return sparse
    if chosen.starts == "unmasked":
        if masks is not None:
            raise ValueError(f"method {chosen.name!r} trains without masks and cannot take any")
    elif masks is not None:
        sparse.set_masks(masks)
    elif sparsity is None and "sparsity" not in chosen.ignores:
        raise ValueError(f"method {chosen.name!r} needs a sparsity, or masks")
    else:
        sparse.draw_masks(sparsity or 0.0, distribution, layers or {}, origin)
    return sparse


class Sparsifier:
    """The state of one sparse training. Made by :func:`sparsify`."""

    execution: ClassVar[Literal["masked", "sparse"]] = "masked"
    """How sparsity is computed with."""

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
        self._trained: dict[str, int] = {}
        self._weights = self._maskable_weights()
        if not self._weights:
            raise ValueError("the model has no weights to mask: no linear, convolutional or recurrent module")
        self._layers: dict[str, Layer] = {}
        self._multipliers: dict[str, Tensor] = {}
        self._explored: dict[str, Tensor] = {}
        self._groups: dict[str, int] = {}
        self._acts_every_step = method.parameters == "dense" or type(method).after_step is not Method.after_step
        self._growth = torch.Generator().manual_seed(_derive(seed, "growth", method.name))
        if method.updates != "never" and method.parameters == "sparse":
            # A schedule that the method cannot follow fails here and not at its first update.
            method.drop_fraction(schedule.begin, schedule)
            method.sparsity_at(schedule.begin, 0.0, schedule)

    def _maskable_weights(self) -> dict[str, nn.Parameter]:
        return maskable_weights(self.model)

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a maskable layer's weight, inactive ones included."""
        return tuple(self._weights[name].shape)

    # -- masks -------------------------------------------------------------------------------------------------------

    def take_as_built(self) -> bool:
        """Go on with the sparsity that the network was built with, if it holds its active weights alone."""
        return False

    def draw_masks(
        self,
        sparsity: float,
        distribution: str,
        rules: Mapping[str, LayerRule],
        origin: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Share ``sparsity`` among the layers and give each its first mask."""
        shapes = {name: tuple(weight.shape) for name, weight in self._weights.items()}
        shared = layer_sparsities(distribution, sparsity, shapes, rules)
        requested = {name: layer_sparsity for name, layer_sparsity in shared.items() if layer_sparsity is not None}
        self._refuse(
            Request(
                sparsities=requested,
                shapes={name: shapes[name] for name in requested},
                distribution=distribution,
                fixed=tuple(name for name in requested if name in rules),
                origin_given=origin is not None,
            )
        )
        generator = torch.Generator().manual_seed(_derive(self.seed, "mask"))
        masks = {name: torch.ones(shapes[name], dtype=torch.bool) for name in requested}
        if self.method.starts == "random":
            for name, final in requested.items():
                zeros = topology.zero_count(self.method.first_sparsity(final), math.prod(shapes[name]))
                masks[name] = self.method.random_mask(shapes[name], zeros, generator)
        self._install(masks, requested)
        if self.method.starts == "magnitude":
            dense_parameters.choose_active(self.method, self._layers, self.optimizer, 0, self.schedule)
        elif self.method.starts == "origin":
            for layer in self._layers.values():
                layer.origin = _of_layer(origin or {}, layer)
            first_mask.choose(self.method, self._layers)
            for layer in self._layers.values():
                layer.origin = None
        self.awaits_first_batch = self.method.starts == "first_batch"
        self._apply_masks()
        self._start()

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
        requested = {name: topology.sparsity_of(int((~mask).sum()), mask.numel()) for name, mask in chosen.items()}
        shapes = {name: tuple(mask.shape) for name, mask in chosen.items()}
        self._refuse(Request(requested, shapes, distribution=None, masks_given=True))
        self._install(chosen, requested)
        self._apply_masks()
        self._start()

    def _refuse(self, request: Request) -> None:
        reason = refusal(self.method, request)
        if reason is not None:
            raise CannotError(f"method {self.method.name!r} cannot do this: {reason}")

    def _install(self, masks: Mapping[str, Tensor], requested: Mapping[str, float]) -> None:
        check_known(self.optimizer, {name: self._weights[name] for name in masks})
        for name, mask in masks.items():
            weight = self._weights[name]
            self._layers[name] = Layer(
                name=name,
                weight=weight,
                mask=mask.to(weight.device),
                sparsity=requested[name],
                generator=self._growth,
                weight_decay=coupled_weight_decay(self.optimizer, weight),
                is_last=name == list(self._weights)[-1],
            )
            self._explored[name] = torch.zeros_like(self._layers[name].mask)
            self._groups[name] = group_index(self.optimizer, weight)
        if self.method.parameters == "dense":
            dense_parameters.adopt(self.method, self._layers, self.optimizer)

    @torch.no_grad()
    def _apply_masks(self) -> None:
        """Make the zeros real, in weights and in optimizer state. A weight that was inactive before is zero already."""
        for name, layer in self._layers.items():
            if self.method.parameters == "dense":
                layer.weight.copy_(self.method.effective_weight(layer))
            else:
                self._mask_as_number(layer)
                layer.weight.mul_(self._multipliers[name])
                mask_state(self.optimizer, layer.weight, self._multipliers[name])
            self._explored[name] |= layer.mask
        self.nonzeros = {name: topology.active_count(layer.mask) for name, layer in self._layers.items()}
        trainable = {name: self.method.trainable(layer) for name, layer in self._layers.items()}
        self._trained = {
            name: self.nonzeros[name] if mask is None else topology.active_count(mask)
            for name, mask in trainable.items()
        }

    def _mask_as_number(self, layer: Layer) -> None:
        """Zeros and ones laid out in memory as the weight is, and so as its gradient; read as bytes, which torch converts
        five times as fast as booleans."""
        if layer.name not in self._multipliers:
            self._multipliers[layer.name] = torch.empty_like(layer.weight)
        self._multipliers[layer.name].copy_(layer.mask.view(torch.uint8))

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
    def is_plain(self) -> bool:
        """Whether the next call of ``step`` is the optimizer's step within the masks and nothing else, so that
        :meth:`plain_step` may be recorded once and replayed in its place."""
        return not (self._acts_every_step or self.awaits_first_batch or self.update_due or self.needs_dense_gradient)

    def plain_step(self, clip_norm: float | None = None) -> None:
        """What a plain ``step`` does to tensors; :meth:`count_plain_step` does the rest."""
        self._step_within_masks(clip_norm, update_due=False, dense_gradient=False)

    def count_plain_step(self) -> None:
        """Count a step whose :meth:`plain_step` was made."""
        self.steps += 1

    @property
    def gradient_nonzeros(self) -> Mapping[str, int] | None:
        """Weights of each masked layer whose gradient the next call of ``step`` uses; None: all of them."""
        return None if self.needs_dense_gradient else self._trained

    @property
    def _update_step(self) -> int:
        return self.steps + (self.method.updates == "after_step")

    def step(self, clip_norm: float | None = None, batch: Batch | None = None) -> bool:
        """Use the gradients of ``loss.backward()``: take the optimizer's step, or change topology, or both.

        Returns False when a topology update (RigL) or the choice of the first mask (SNIP) took the step's place; the
        caller then does not advance its learning rate. ``clip_norm`` clips the global gradient norm of what is trained.
        ``batch`` is what GraSP and SynFlow choose their first mask with. Raises NonFiniteScoreError when a score is NaN,
        CannotError when the first mask cannot be what was asked for, TypeError when ``batch`` is missing, MasksDisagreeError
        when ranks chose different masks.
        """
        if self.awaits_first_batch:
            self._choose_first_masks(batch)
            return False
        update_due = self.update_due
        dense_gradient = bool(self._layers) and self.method.needs_dense_gradient(self.steps, update_due)
        if update_due or dense_gradient or self._acts_every_step:
            self._tell_learning_rates()
        if dense_gradient:
            self._observe()
        if update_due and self.method.updates == "instead_of_step":
            self._update_topology()
            return False
        if self.method.parameters == "dense":
            self._step_behind_masks(clip_norm)
        else:
            self._step_within_masks(clip_norm, update_due, dense_gradient)
        self.steps += 1
        if update_due:
            self._update_topology()
        elif self.method.parameters == "dense":
            self._apply_masks()
        return True

    def _tell_learning_rates(self) -> None:
        for name, layer in self._layers.items():
            layer.learning_rate = float(self.optimizer.param_groups[self._groups[name]]["lr"])

    def _observe(self) -> None:
        for layer in self._layers.values():
            self.method.observe(layer)

    def _step_behind_masks(self, clip_norm: float | None) -> None:
        dense_parameters.give_gradients(self.method, self._layers)
        self._clip(clip_norm)
        dense_parameters.step(self.method, self._layers, self.optimizer)

    def _step_within_masks(self, clip_norm: float | None, update_due: bool, dense_gradient: bool) -> None:
        """The step on masked gradients. An update that follows finds the batch's gradients in their place: dense where it
        needs them, and never as clipping and fused optimizers leave them."""
        kept = self._gradients() if update_due and dense_gradient else None
        sparse_parameters.mask_gradients(self._layers, self._multipliers)
        kept = self._gradients() if update_due and not dense_gradient else kept
        self._clip(clip_norm)
        self.optimizer.step()
        if self._acts_every_step:
            sparse_parameters.move_after_step(self.method, self._layers, self._multipliers)
        for name, gradient in (kept or {}).items():
            self._layers[name].weight.grad = gradient

    def _gradients(self) -> dict[str, Tensor]:
        return {name: layer.gradient.clone() for name, layer in self._layers.items()}

    def _clip(self, norm: float | None) -> None:
        if norm is not None:
            extra = [parameter for layer in self._layers.values() for parameter in layer.extra.values()]
            nn.utils.clip_grad_norm_([*self.model.parameters(), *extra], norm)

    @torch.no_grad()
    def _update_topology(self) -> None:
        if self.method.parameters == "dense":
            dense_parameters.choose_active(self.method, self._layers, self.optimizer, self.steps, self.schedule)
        else:
            sparse_parameters.drop_and_grow(self.method, self._layers, self.nonzeros, self.steps, self.schedule)
        self._apply_masks()
        self.last_update = self.steps
        self.updates += 1
        self.agree()

    def agree(self) -> None:
        """Compare the masks with those of the other ranks, where torch.distributed has several; the engine does so whenever
        masks are new. Every rank chooses its masks itself: from gradients that DistributedDataParallel averaged, so that the
        scores are the same, and from the same random numbers. Raises MasksDisagreeError with two digests."""
        if self._layers and agreement.ranks() > 1:
            device = next(iter(self._layers.values())).weight.device
            moment = f"after {self.updates} topology updates and {self.steps} steps"
            agreement.require_equal(self.digest(), device, moment)

    def _choose_first_masks(self, batch: Batch | None) -> None:
        if batch is None and type(self.method).probe is not Method.probe:
            raise TypeError(f"{self.method.name} chooses its first mask with passes of its own: call step(batch=...)")
        first_mask.choose(self.method, self._layers, batch)
        for explored in self._explored.values():
            explored.zero_()
        self.awaits_first_batch = False
        self._apply_masks()
        self._start()

    def _start(self) -> None:
        """Let the method prepare, once the first mask is there."""
        if not self.awaits_first_batch:
            for layer in self._layers.values():
                self.method.start(layer)
        self.agree()

    def gradient_of_chain(self, smoothing: float) -> Callable[[Tensor, Tensor, Tensor, float], float] | None:
        """What gives the mean cross-entropy of samples, labels, rows that are the batch and a factor of the inputs, and leaves
        its gradients, faster than autograd does, where the network is such that it can be; else None."""
        return None

    # -- reading, saving -----------------------------------------------------------------------------------------------

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean masks of the masked layers, by layer name; copies."""
        return {name: layer.mask.clone() for name, layer in self._layers.items()}

    def dense_state(self) -> dict[str, Tensor]:
        """The network's state dict with whole weights, zeros included."""
        return self.model.state_dict()

    @property
    def requested(self) -> dict[str, float]:
        """Sparsity asked of each masked layer at the end of training."""
        return {name: layer.sparsity for name, layer in self._layers.items()}

    def counts(self) -> list[LayerCount]:
        """Every maskable layer as it is now, unmasked ones included, in the model's order."""
        rows = []
        for name in self._weights:
            shape = self._shape(name)
            weights = math.prod(shape)
            nonzeros = self.nonzeros[name] if name in self._layers else weights
            rows.append(LayerCount(name, shape, weights, nonzeros, 1 - nonzeros / weights, masked=name in self._layers))
        return rows

    @property
    def sparsity(self) -> float:
        """Achieved share of zeros over all maskable layers, unmasked ones included."""
        rows = self.counts()
        return 1 - sum(row.nonzeros for row in rows) / sum(row.weights for row in rows)

    @property
    def explored(self) -> float | None:
        """Share of the weights of masked layers that were ever active: R_s of ITOP; None where nothing is masked."""
        weights = sum(mask.numel() for mask in self._explored.values())
        return sum(int(mask.sum()) for mask in self._explored.values()) / weights if weights else None

    @property
    def extra_parameters(self) -> dict[str, Tensor]:
        """What the method trains beside the weights, by layer and name."""
        return {
            f"{layer.name}.{name}": p.detach() for layer in self._layers.values() for name, p in layer.extra.items()
        }

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
            **self._progress(),
            "masks": self.masks,
            "explored": {name: mask.clone() for name, mask in self._explored.items()},
            "layer_state": {name: _cloned(layer.state) for name, layer in self._layers.items()},
            "dense": _cloned({name: layer.dense for name, layer in self._layers.items() if layer.dense is not None}),
            "extra": {name: _cloned(layer.extra) for name, layer in self._layers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`. Load model and optimizer first. Raises ValueError for another method's or
        another network's state."""
        ours, theirs = ({name: tuple(mask.shape) for name, mask in m.items()} for m in (self.masks, state["masks"]))
        if ours != theirs:
            raise ValueError(f"the state masks {theirs}, this network has {ours}")
        self._restore_progress(state)
        for name, layer in self._layers.items():
            layer.mask = state["masks"][name].to(layer.weight.device, torch.bool).clone()
            layer.sparsity = state["requested"][name]
            saved = state["layer_state"].get(name, {})
            layer.state = {key: value.to(layer.weight.device).clone() for key, value in saved.items()}
            self._explored[name] = state["explored"][name].to(layer.weight.device).clone()
            if layer.dense is not None:
                layer.dense = state["dense"][name].to(layer.weight.device).clone()
            for key, value in state["extra"][name].items():
                layer.extra[key].data.copy_(value)
        self._apply_masks()
        self.agree()

    def _progress(self) -> dict[str, Any]:
        """What the engine's state holds however sparsity is computed with."""
        return {
            "method": self.method.name,
            "steps": self.steps,
            "updates": self.updates,
            "last_update": self.last_update,
            "awaits_first_batch": self.awaits_first_batch,
            "requested": self.requested,
            "growth": self._growth.get_state(),
        }

    def _restore_progress(self, state: Mapping[str, Any]) -> None:
        if state["method"] != self.method.name:
            raise ValueError(f"the state is of method {state['method']!r}, this is {self.method.name!r}")
        self.steps, self.updates = state["steps"], state["updates"]
        self.last_update, self.awaits_first_batch = state["last_update"], state["awaits_first_batch"]
        self._growth.set_state(state["growth"])


def _of_layer(origin: Mapping[str, Tensor], layer: Layer) -> Tensor:
    found = origin.get(layer.name)
    expected = tuple(layer.weight.shape)
    if found is None or tuple(found.shape) != expected:
        shape = "no weight" if found is None else f"a weight of shape {tuple(found.shape)}"
        raise ValueError(f"the origin has {shape} for layer {layer.name!r}, which has shape {expected}")
    return found.to(layer.weight)


def _cloned(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


def _derive(*parts: Any) -> int:
    """A generator's seed from named parts, the same in every process."""
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big") >> 1
