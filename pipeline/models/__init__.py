"""Models by name: networks, and the layer rules that the engine is given as ``layers=``.

One file per family, each with its network and, beside it, its table of layer rules. A name that contains ":" is the
user's own model, ``package.module:factory``; its factory may carry a ``layer_rules`` attribute, rows of the same type.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.factories import import_factory, is_dotted
from pipeline.models import charlm, convnet, lenet, lenet5, mobilenet_v1, mobilenet_v2, resnet, vgg, wrn
from pipeline.models.family import CountingRule, LayerRule, Sparsities, resolve_rules

__all__ = ["CountingRule", "LayerRule", "build", "counting_rules", "layer_rules", "names"]

FAMILIES = (
    lenet.FAMILY,
    wrn.FAMILY,
    lenet5.FAMILY,
    resnet.CIFAR_FAMILY,
    vgg.FAMILY,
    resnet.FAMILY,
    mobilenet_v1.FAMILY,
    mobilenet_v2.FAMILY,
    convnet.FAMILY,
    charlm.FAMILY,
)


def names() -> tuple[str, ...]:
    """The names that studies use. Families take other numbers too, such as ``wrn16_4``."""
    return tuple(name for family in FAMILIES for name in family.examples)


def build(name: str, input_shape: tuple[int, ...], classes: int, **options: Any) -> nn.Module:
    """A new model with weights from torch's global random state, in train mode, float32, on the default device.

    Args:
        name: one of ``names()`` or their families, or ``package.module:factory``.
        input_shape: of one sample, without the batch.
        classes: number of classes.
        options: further keyword arguments of the model's factory.

    Raises:
        ValueError: for a name that does not exist, an option that the factory does not take, or a value out of range.
        ValueError: when the user's factory returns something that is not a torch module.
    """
    factory, _ = _find(name)
    accepted = _keywords(factory)
    for option in options:
        if accepted is not None and option not in set(accepted) - {"input_shape", "classes"}:
            valid = ", ".join(keyword for keyword in accepted if keyword not in ("input_shape", "classes")) or "none"
            raise ValueError(f"model {name!r} does not take the option {option!r}; valid: {valid}")
    # A user's factory may know its sizes itself.
    sizes = {"input_shape": tuple(input_shape), "classes": classes}
    sizes = {keyword: size for keyword, size in sizes.items() if accepted is None or keyword in accepted}
    model = factory(**sizes, **options)
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"model {name!r}: the factory returned {type(model).__name__}, it must return a torch.nn.Module"
        )
    return model


def outline(name: str, input_shape: tuple[int, ...], classes: int, **options: Any) -> nn.Module:
    """The model on the CPU with zeros for values, for its shapes and its cost: drawing the weights of a large network takes
    seconds. A user's own model is built as it is. Arguments and errors are those of ``build``."""
    model = skeleton(name, input_shape, classes, **options)
    if not is_dotted(name):
        model.to_empty(device="cpu")
        with torch.no_grad():
            for value in (*model.parameters(), *model.buffers()):
                value.zero_()
    return model


def skeleton(name: str, input_shape: tuple[int, ...], classes: int, **options: Any) -> nn.Module:
    """The model without values, for its shapes alone: an ``outline`` that takes no memory. A user's own is built as it is."""
    if is_dotted(name):
        return build(name, input_shape, classes, **options)
    with torch.device("meta"):
        return build(name, input_shape, classes, **options)


def layer_rules(name: str, layout: str, distribution: str, sparsity: float) -> Sparsities:
    """Layers of model ``name`` that do not take part in the distribution: an explicit sparsity, or "unmasked".

    Raises ValueError for a model or a layout that does not exist.
    """
    _, rules = _find(name)
    return resolve_rules(rules, name, layout, distribution, sparsity)


def counting_rules(name: str) -> tuple[CountingRule, ...]:
    """Layers of model ``name`` that the authors' counter charged otherwise than they compute; none for a user's own model."""
    return next((family.counting_rules for family in FAMILIES if family.numbers(name) is not None), ())


def note(name: str) -> str:
    """What must be said with the numbers of model ``name``; mostly nothing."""
    return next((family.note for family in FAMILIES if family.numbers(name) is not None), "")


def found_architecture(name: str, layers: Mapping[str, tuple[int, ...]], masks: Mapping[str, Tensor]) -> dict[str, Any]:
    """Options of model ``name`` that leave out what ``masks`` made dead; ``layers`` are its weights' shapes, unmasked ones
    included. Raises ValueError for a model whose found architectures are not known."""
    family = next((family for family in FAMILIES if family.numbers(name) is not None), None)
    if family is None or family.found_by is None:
        known = ", ".join(family.spelling for family in FAMILIES if family.found_by)
        raise ValueError(f"no architecture can be taken from a {name!r}; it can from {known}")
    return family.found_by(
        {layer: masks.get(layer, torch.ones(shape, dtype=torch.bool)) for layer, shape in layers.items()}
    )


def usual_dataset(name: str) -> str | None:
    """The data set that a model of the suite is meant for; None for a user's own model."""
    return next((family.dataset for family in FAMILIES if family.numbers(name) is not None), None)


def _find(name: str) -> tuple[Callable[..., nn.Module], tuple[LayerRule, ...]]:
    if is_dotted(name):
        factory = import_factory(name)
        rules = tuple(getattr(factory, "layer_rules", ()))
        for row in rules:
            if not isinstance(row, LayerRule):
                raise ValueError(f"model {name!r}: layer_rules holds {row!r}, its rows must be LayerRule")
        return factory, rules
    for family in FAMILIES:
        numbers = family.numbers(name)
        if numbers is not None:
            return partial(family.factory, *numbers), family.layer_rules
    valid = ", ".join(family.spelling for family in FAMILIES)
    raise ValueError(f"there is no model {name!r}; valid: {valid}, or package.module:factory")


def _keywords(factory: Callable[..., nn.Module]) -> list[str] | None:
    """Keyword arguments that the factory takes; None: any."""
    parameters = inspect.signature(factory).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
