"""Counting a network's multiply-adds with fvcore, layer by layer; what has no rule is an error, never a zero."""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from fvcore.nn import FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import nn

from pipeline.cost import LayerCost, NetworkCost
from sparse_methods.network import maskable_weights

if TYPE_CHECKING:
    from pipeline.models import CountingRule

PRODUCTS = ("conv", "linear", "addmm", "mm", "matmul", "bmm", "einsum", "gru", "lstm", "rnn_tanh", "rnn_relu")
"""Operators that multiply tensors, by fvcore's names; it counts others too, in other units."""
RECURRENT = ("aten::gru", "aten::lstm", "aten::rnn_tanh", "aten::rnn_relu")
FREE = (
    *("adaptive_avg_pool1d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "argsort"),
    *("alpha_dropout", "avg_pool1d", "avg_pool2d", "avg_pool3d", "channel_shuffle", "cumsum", "embedding"),
    *("feature_dropout", "hardswish", "hardswish_", "log_softmax", "max_pool1d", "max_pool2d", "max_pool3d"),
    *("one_hot", "pad", "pixel_shuffle", "pixel_unshuffle", "reflection_pad2d", "repeat", "replication_pad2d"),
    *("flip", "glu", "index_select", "log_sigmoid", "ones_like", "prelu", "reflection_pad1d", "reflection_pad3d"),
    *("repeat_interleave", "replication_pad1d", "replication_pad3d", "rms_norm", "softmax", "sort", "tile", "topk"),
    *("tril", "triu"),
)
"""Operations that Appendix H leaves out, beyond views and those that torch tags as element-wise or as reductions."""


def trace(model: nn.Module, input_shape: Sequence[int], rules: Iterable[CountingRule] = ()) -> NetworkCost:
    """Count a network's multiply-adds on one sample of ``input_shape``, in eval mode and without gradients.

    ``rules`` say where the authors' counter charged something else. A network that takes indices has an attribute
    ``input_dtype = torch.long``. Raises ValueError that names the module for a weight that nothing was counted for, and for
    an operation whose cost is not known.
    """
    products, unknown = _counted(model, input_shape)
    modules = dict(model.named_modules())
    for path, operations in unknown.items():
        if operations:
            raise ValueError(f"{_cost_of(path, modules)} is not known: there is no rule for {', '.join(operations)}")
    weights = maskable_weights(model)
    maskable = {id(weight) for weight in weights.values()}
    matrices = {
        path: [p for p in module.parameters(recurse=False) if id(p) in maskable] for path, module in modules.items()
    }
    by_layer = {rule.layer: rule for rule in rules}
    layers = []
    for name, weight in weights.items():
        # A weight may serve several modules; each of them is counted under its own name.
        users = [path for path, owned in matrices.items() if any(own is weight for own in owned)]
        uses = [divmod(products[path], sum(own.numel() for own in matrices[path])) for path in users]
        positions = sum(quotient for quotient, _ in uses)
        transposed = any(getattr(modules[path], "transposed", False) for path in users)
        if positions == 0 or any(remainder for _, remainder in uses) or transposed:
            kind, macs = type(modules[users[0]]).__name__, sum(products[path] for path in users)
            raise ValueError(f"the cost of layer {name!r} ({kind}) is not known: fvcore counted {macs} multiply-adds")
        rule = by_layer.get(name)
        charged = (rule.positions(tuple(input_shape)), rule.channels) if rule else ()
        layers.append(LayerCost(name, tuple(weight.shape), positions, *charged))
    for path, macs in products.items():
        if macs and not matrices[path]:
            raise ValueError(
                f"{_cost_of(path, modules)} is not known: its {macs} multiply-adds belong to no linear, convolutional or "
                "recurrent layer"
            )
    return NetworkCost(tuple(layers))


def _counted(model: nn.Module, input_shape: Sequence[int]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Multiply-adds of each module, and its operations that have no rule; those of its submodules not included."""
    example = torch.zeros(1, *input_shape, dtype=getattr(model, "input_dtype", torch.float32))
    with torch.no_grad():
        analysis = FlopCountAnalysis(copy.deepcopy(model).eval(), example)
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        analysis.set_op_handle(**dict.fromkeys(RECURRENT, _recurrent_macs))
        counts = analysis.by_module_and_operator()
        unsupported = {path: analysis.unsupported_ops(path) for path in counts}
    products = {path: int(sum(own[name] for name in PRODUCTS)) for path, own in _without_submodules(counts).items()}
    unknown = {
        path: sorted(operation for operation in +own if not _is_free(operation))
        for path, own in _without_submodules(unsupported).items()
    }
    return products, unknown


def _recurrent_macs(inputs: Sequence[Any], outputs: Sequence[Any]) -> Counter[str]:
    """A recurrent layer uses every element of its matrices once a step; arguments are input, state, parameters, ..."""
    operator = outputs[0].node().kind().removeprefix("aten::")
    # Of a packed sequence the arguments are others; its packing has no rule, and so it is named.
    shapes = [get_shape(parameter) for parameter in inputs[2].node().inputs()]
    matrices = [shape for shape in shapes if shape is not None and len(shape) == 2]
    return Counter({operator: math.prod(get_shape(inputs[0])[:-1]) * sum(map(math.prod, matrices))})


def _without_submodules(counts: Mapping[str, Counter[str]]) -> dict[str, Counter[str]]:
    own = {path: Counter(count) for path, count in counts.items()}
    for path, count in counts.items():
        if path:
            own[path.rpartition(".")[0]].subtract(count)
    return own


def _is_free(operation: str) -> bool:
    name = operation.removeprefix("aten::")
    packet = getattr(torch.ops.aten, name, None) if operation.startswith("aten::") else None
    if packet is None:  # the trace's own book-keeping is free, a user's autograd function or operator is not
        return operation.startswith("prim::") and not operation.startswith("prim::PythonOp")
    overloads = [getattr(packet, overload) for overload in packet.overloads()]
    tags = {tag.name for overload in overloads for tag in overload.tags}
    return name in FREE or not tags.isdisjoint(("pointwise", "reduction")) or any(map(_is_view, overloads))


def _is_view(overload: torch._ops.OpOverload) -> bool:
    aliases = [result.alias_info for result in overload._schema.returns]
    return any(alias is not None and not alias.is_write for alias in aliases)


def _cost_of(path: str, modules: Mapping[str, nn.Module]) -> str:
    kind = type(modules[path]).__name__
    return f"the cost of module {path!r} ({kind})" if path else f"the cost of {kind} itself"
