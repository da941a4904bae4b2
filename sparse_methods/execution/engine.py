"""The engine over layers that hold their active weights alone. Same cadence, counts and choices as the masked one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse_methods import topology
from sparse_methods.execution import serving, update
from sparse_methods.execution.linear import SparseLinear
from sparse_methods.execution.mlp import Chain, Descent, chain_of
from sparse_methods.execution.pattern import index_type
from sparse_methods.execution.update import SparseLayer
from sparse_methods.method import Batch, CannotError, Layer, Method
from sparse_methods.optimizer_state import PER_WEIGHT_SLOTS, check_known, coupled_weight_decay, group_index, mask_state
from sparse_methods.sparsifier import Sparsifier


class SparseExecution(Sparsifier):
    """A :class:`Sparsifier` that replaces each masked linear layer by a :class:`SparseLinear`."""

    execution = "sparse"

    def __init__(self, *arguments: Any) -> None:
        self._sparse: dict[str, SparseLayer] = {}
        self._chain: Chain | None = None
        self._descent: Descent | None = None
        super().__init__(*arguments)
        reason = serving.refusal(self.method)
        if reason is not None:
            raise CannotError(f"execution 'sparse' cannot do this: {reason}")

    def _maskable_weights(self) -> dict[str, nn.Parameter]:
        order = {name: number for number, (name, _) in enumerate(self.model.named_modules())}
        found = super()._maskable_weights() | {name: module.values for name, module in self._built().items()}
        # A layer is named after its module, or, one among several of a recurrent module, after its parameter.
        return dict(
            sorted(found.items(), key=lambda item: order.get(item[0], order.get(item[0].rpartition(".")[0], 0)))
        )

    def _built(self) -> dict[str, SparseLinear]:
        return {name: module for name, module in self.model.named_modules() if isinstance(module, SparseLinear)}

    def _shape(self, name: str) -> tuple[int, ...]:
        layer = self._sparse.get(name)
        return super()._shape(name) if layer is None else layer.module.pattern.shape

    # -- masks -------------------------------------------------------------------------------------------------------

    def take_as_built(self) -> bool:
        """Train the network's own :class:`SparseLinear` layers as they are; their sparsity is what is requested of them."""
        for name, module in self._built().items():
            rows, columns = module.pattern.shape
            self._hold(name, module, topology.sparsity_of(rows * columns - module.pattern.weights, rows * columns))
        self._apply_masks()
        self._start()
        return bool(self._sparse)

    def _install(self, masks: Mapping[str, Tensor], requested: Mapping[str, float]) -> None:
        check_known(self.optimizer, {name: self._weights[name] for name in masks})
        modules = {name: self._served(name) for name in masks}
        index = index_type(*(size for module in modules.values() for size in module.weight.shape))
        for name, module in modules.items():
            sparse = SparseLinear.of(module, masks[name], index)
            self.model.set_submodule(name, sparse)
            _exchange(self.optimizer, module.weight, sparse.values)
            self._weights[name] = sparse.values
            self._hold(name, sparse, requested[name])

    def _served(self, name: str) -> nn.Linear:
        weight = self._weights[name]
        module = serving.owner(self.model, weight)
        reason = serving.layer_refusal(name, module, weight)
        if reason is not None:
            raise CannotError(f"execution 'sparse' cannot do this: {reason}")
        return module

    def _hold(self, name: str, module: SparseLinear, sparsity: float) -> None:
        rows, columns = module.pattern.shape
        view = Layer(
            name=name,
            weight=module.values,
            mask=torch.ones(module.pattern.weights, dtype=torch.bool),
            sparsity=sparsity,
            generator=self._growth,
            weight_decay=coupled_weight_decay(self.optimizer, module.values),
            is_last=name == list(self._weights)[-1],
        )
        self._layers[name] = view
        self._sparse[name] = SparseLayer(module, view, np.zeros((rows * columns + 7) // 8, np.uint8))
        self._groups[name] = group_index(self.optimizer, module.values)

    def _apply_masks(self) -> None:
        for layer in self._sparse.values():
            layer.refresh()
        self.nonzeros = {name: layer.module.pattern.weights for name, layer in self._sparse.items()}
        self._trained = dict(self.nonzeros)

    def _start(self) -> None:
        if type(self.method).start is not Method.start:
            for layer in self._sparse.values():
                for _, block in layer.blocks(dense_gradient=False):
                    self.method.start(block)
        self.agree()

    # -- the step ----------------------------------------------------------------------------------------------------

    def _observe(self) -> None:
        if type(self.method).observe is not Method.observe:
            for layer in self._sparse.values():
                for _, block in layer.blocks(dense_gradient=True):
                    self.method.observe(block)

    def step(self, clip_norm: float | None = None, batch: Batch | None = None) -> bool:
        """As of the masked engine; what dense gradients are made of is let go of."""
        stepped = super().step(clip_norm, batch)
        for layer in self._sparse.values():
            layer.module.factors.clear()
        return stepped

    @torch.no_grad()
    def _step_within_masks(self, clip_norm: float | None, update_due: bool, dense_gradient: bool) -> None:
        kept = {name: layer.gradient.clone() for name, layer in self._layers.items()} if update_due else {}
        self._clip(clip_norm)
        if self._descent is None or not self._chain.descends(self._descent):
            self.optimizer.step()
        if type(self.method).after_step is not Method.after_step:
            for layer in self._sparse.values():
                moved = self.method.after_step(layer.active_view())
                if moved is not None:
                    layer.module.values.copy_(moved)
                layer.keep_state()
        for name, gradient in kept.items():
            self._layers[name].weight.grad = gradient

    @torch.no_grad()
    def _update_topology(self) -> None:
        method, fraction = self.method, self.method.drop_fraction(self.steps, self.schedule)
        # RigL's update takes the step's place, so that this one's dense gradient is asked for, whatever comes next.
        dense_gradient = method.needs_dense_gradient(self.steps, True)
        kept, counts = {}, {}
        for name, layer in self._sparse.items():
            weights = layer.module.in_features * layer.module.out_features
            target = weights - topology.zero_count(
                method.sparsity_at(self.steps, layer.view.sparsity, self.schedule), weights
            )
            kept[name] = update.kept_positions(method, layer, target, fraction)
            counts[name] = target - len(kept[name])
        chosen = {
            name: update.grown(method, layer, kept[name], counts[name], dense_gradient)
            for name, layer in self._sparse.items()
        }
        for name, layer in self._sparse.items():
            slots = self._slots(layer)
            moved = update.move(layer, kept[name], chosen[name], slots)
            self.optimizer.state[layer.module.values].update(moved)
        self._apply_masks()
        self.last_update = self.steps
        self.updates += 1
        self.agree()

    def _slots(self, layer: SparseLayer) -> dict[str, Tensor]:
        """The optimizer's state of every active weight, by slot."""
        mask_state(self.optimizer, layer.module.values, layer.view.mask)  # refuses a slot of unknown meaning
        state = self.optimizer.state.get(layer.module.values, {})
        known = PER_WEIGHT_SLOTS[type(self.optimizer)]
        return {slot: value for slot, value in state.items() if slot in known and value is not None}

    def gradient_of_chain(self, smoothing: float) -> Chain | None:
        """For a network of linear layers with ReLU between them, most of them sparse, that says so; else None."""
        self._chain = chain_of(self.model, smoothing)
        self._descent = None if self._chain is None else Descent.of(self.optimizer, self._chain.parameters)
        return self._chain

    # -- reading, saving -----------------------------------------------------------------------------------------------

    @property
    def masks(self) -> dict[str, Tensor]:
        """Boolean masks of the sparse layers, whole."""
        found = {}
        for name, layer in self._sparse.items():
            mask = torch.zeros(self._shape(name), dtype=torch.bool)
            mask.view(-1)[layer.positions] = True
            found[name] = mask
        return found

    @property
    def explored(self) -> float | None:
        """Share of the weights of sparse layers that were ever active."""
        weights = sum(layer.module.in_features * layer.module.out_features for layer in self._sparse.values())
        return sum(int(np.bitwise_count(layer.explored).sum()) for layer in self._sparse.values()) / weights

    def digest(self) -> str:
        """As of the masked engine: SHA-256 of all masks, a byte for each weight."""
        digest = hashlib.sha256()
        for name, layer in self._sparse.items():
            digest.update(name.encode())
            for _, block in layer.blocks(dense_gradient=False):
                digest.update(block.mask.numpy().tobytes())
        return digest.hexdigest()

    def dense_state(self) -> dict[str, Tensor]:
        """The network's state as that of a dense network with zeros: what the masked engine's has."""
        state = {}
        for key, value in self.model.state_dict().items():
            name, _, part = key.rpartition(".")
            if name not in self._sparse or part == "bias":
                state[key] = value
            elif part == "values":
                state[f"{name}.weight"] = self._sparse[name].module.dense_weight()
        return state

    def state_dict(self) -> dict[str, Any]:
        """Everything the engine needs to go on; positions and values are the model's."""
        return {
            **self._progress(),
            "explored": {name: torch.from_numpy(layer.explored.copy()) for name, layer in self._sparse.items()},
            "layer_state": {
                name: {key: value.clone() for key, value in layer.state.items()} for name, layer in self._sparse.items()
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from :meth:`state_dict`. Load model and optimizer first."""
        if list(state["requested"]) != list(self._layers):
            raise ValueError(f"the state has layers {list(state['requested'])}, this network has {list(self._layers)}")
        self._restore_progress(state)
        for name, layer in self._sparse.items():
            layer.view.sparsity = state["requested"][name]
            layer.explored = state["explored"][name].numpy().copy()
            layer.state = {key: value.clone() for key, value in state["layer_state"].get(name, {}).items()}
        self._apply_masks()
        self.agree()


def _exchange(optimizer: torch.optim.Optimizer, old: nn.Parameter, new: nn.Parameter) -> None:
    """Let ``optimizer`` train ``new`` in the place of ``old``. Raises ValueError when it has trained ``old`` already."""
    if optimizer.state.get(old):
        raise ValueError(
            "the optimizer has state of a dense weight already: make the network sparse before the first step"
        )
    group = optimizer.param_groups[group_index(optimizer, old)]["params"]
    group[next(i for i, member in enumerate(group) if member is old)] = new
