"""What a record's configuration makes due: its network, its costs and its work, recomputed and not taken from the record.

How much of it is known depends on the run. Of a suite's method on a suite's model it is everything; of a method that has no
file here, the network and what a forward pass costs; of a network that another run found, or of a model of somebody's own, the
shapes are the record's word and the costs follow from them. No code of a submission is run, and no network is built that is
larger than any that the suite trains.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from analysis.submissions.card import Card
from analysis.submissions.defects import Flaw, quoted
from pipeline import models
from pipeline.cost import CONVENTIONS, LayerCost, NetworkCost, RunCost
from pipeline.export import file_size
from pipeline.factories import is_dotted
from pipeline.plan import Spec, resolve
from pipeline.record import Record
from pipeline.run import Run
from pipeline.study import parse_run
from pipeline.yaml_source import StudyError
from sparse_methods.method import Method
from sparse_methods.methods import METHODS

STEPS, CHARACTERS, NUMBER, DEPTH, PARAMETERS = 4_000_000, 16_384, 10_000, 200, 200_000_000
"""The largest that is recomputed: gradient steps, characters of a sample, a number among a model's options, one in its name,
and weights."""
LARGEST_LAYER = 10**12
"""Weights of one layer of a model that is only declared."""
STAND_INS = {"origin": "ticket", "unmasked": "dense"}
"""Methods of the suite that the configuration of a foreign method is read as, by how it starts; else static."""


RUN_DEFAULTS = {field.name: field.default for field in fields(Run)}


class Foreign(Spec):
    """The specification of a run whose method has no file here."""

    stand_in: Method

    def method(self) -> Method:
        """What the card says of it, and nothing that costs follow from."""
        return self.stand_in


@dataclass(frozen=True)
class Due:
    """What a record must agree with."""

    spec: Spec
    knows_method: bool
    """Whether the method is the suite's, so that its work and training cost are known."""
    knows_layers: bool
    """Whether the model is the suite's, so that what each layer is asked for is known."""
    knows_network: bool
    """Whether the network is what the configuration builds, and not what another run found."""

    @property
    def run(self) -> Run:
        """What was trained."""
        return self.spec.run

    @property
    def takes_masks(self) -> bool:
        """Whether its masks are another run's, which then decide what its layers are asked for."""
        start = self.run.start_from
        return start is not None and start.take in ("mask", "both") and self.spec.method().starts != "origin"

    def file_bytes(self, nonzeros: Mapping[str, int]) -> int | None:
        """Of the exported network; None where it is not known."""
        if not (self.knows_layers and self.knows_network):
            return None
        spec = self.spec
        network = models.skeleton(spec.run.model, spec.input_shape, spec.classes, **spec.options())
        return file_size(spec, network, nonzeros).file_bytes

    def cost(self, convention: str, requested: Mapping[str, float]) -> RunCost:
        """What the method's closed form is made from, at the sparsities that layers were asked for."""
        spec = self.spec
        dense = spec.dense_inference_flops[convention]
        return RunCost(spec.network, requested, dense, convention, spec.method(), spec.schedule())


def foreign_method(card: Card) -> Method:
    """A method that is what ``card`` says, without its code."""
    copied = ("label", "family", "year", "citation", "starts", "exempt")
    stated = {name: getattr(card, name) for name in copied}
    lists = {name: tuple(getattr(card, name)) for name in ("dense_parts", "ignores")}
    return type("ForeignMethod", (Method,), stated | lists | {"name": card.method})()


def configuration_flaws(run: Run, card: Card) -> Iterator[Flaw]:
    """What keeps ``run`` from being one that the suite would train, or read about: names, options, ranges, sizes."""
    flaws = [*_unknown_names(run, card), *_excesses(run, card)]
    yield from flaws
    if flaws:
        return
    for field in card.ignores if run.method == card.method else ():
        default = RUN_DEFAULTS.get(field)
        if field in RUN_DEFAULTS and getattr(run, field) != default:
            yield (
                f"config.{field}",
                f"is {quoted(getattr(run, field))}, the card says that {card.method} ignores it: {quoted(default)}",
            )
    try:
        known = parse_run(_in_known_words(run, card))
    except StudyError as error:
        yield from (("config", line) for line in str(error).splitlines())
        return
    if (
        run.method in METHODS
        and run.model not in card.models
        and replace(known, snapshots=()) != replace(run, snapshots=())
    ):
        ours, theirs = asdict(known), asdict(run)
        for field in (field for field in ours if ours[field] != theirs[field] and field != "snapshots"):
            means = f"a run of {run.method} has {quoted(ours[field])}"
            yield f"config.{field}", f"is {quoted(theirs[field])}, which has no meaning here: {means}"


def due(run: Run, record: Record, card: Card, foreign: Method) -> Due:
    """What ``record`` must agree with; ``run`` is its configuration, in which ``configuration_flaws`` found none.

    Raises ValueError for a configuration that no network can be built from, and for layers that cannot be its network's.
    """
    sample, classes = card.sample(run.dataset)
    shape = run.sample_shape(sample)
    knows_method = run.method in METHODS
    if run.model in card.models:
        spec = _declared(run, record, card, shape, classes)
    else:
        _refuse_giants(run.model, json.dumps(run.model_options, sort_keys=True), shape, classes)
        # A foreign method's network is the configuration's own: it is resolved as that of a method that changes nothing.
        spec = resolve(run if knows_method else replace(run, method="static", method_options={}), shape, classes)
    if spec.skip is not None and knows_method:
        raise ValueError(f"cannot be done: {spec.skip}")
    if run.finds_its_network and record.layers:
        spec = replace(spec, network=spec.network.reshaped(_found_shapes(spec.network, record)))
    if not knows_method:
        spec = Foreign(**vars(spec) | {"run": run})
        object.__setattr__(spec, "stand_in", foreign)
    return Due(spec, knows_method, run.model not in card.models, not run.finds_its_network)


def _unknown_names(run: Run, card: Card, prefix: str = "config") -> Iterator[Flaw]:
    """Names of methods, models and data sets that neither the suite nor the card has; nothing of theirs is imported."""
    if run.method not in METHODS and run.method != card.method:
        told = f"is {quoted(run.method)}; the card is of {card.method}, the suite has {', '.join(METHODS)}"
        yield f"{prefix}.method", told
    if is_dotted(run.model) and run.model not in card.models:
        yield (
            f"{prefix}.model",
            f"is {quoted(run.model)}, a model of somebody's own: declare it under models of the card",
        )
    if card.sample(run.dataset) is None:
        known = "a data set of the suite, or declared under datasets of the card"
        yield f"{prefix}.dataset", f"is {quoted(run.dataset)}, it must be {known}"
    if run.start_from is not None:
        yield from _unknown_names(run.start_from.run, card, f"{prefix}.start_from.run")


def _excesses(run: Run, card: Card, prefix: str = "config") -> Iterator[Flaw]:
    """Sizes whose costs would take longer to recompute than to train."""
    limits = {
        "protocol.steps": (run.steps, STEPS),
        "protocol.sequence_length": (run.protocol.sequence_length, CHARACTERS),
    }
    for field, (value, limit) in limits.items():
        if value > limit:
            yield f"{prefix}.{field}", f"comes to {quoted(value)}, costs are recomputed up to {limit}"
    for number in next(filter(None, (family.numbers(run.model) for family in models.FAMILIES)), ()):
        if number > DEPTH:
            yield f"{prefix}.model", f"is {quoted(run.model)}, costs are recomputed for numbers up to {DEPTH}"
    for value in _leaves(run.model_options):
        if not isinstance(value, str | bool | None) and abs(value) > NUMBER:
            yield f"{prefix}.model_options", f"hold {quoted(value)}, costs are recomputed for numbers up to {NUMBER}"
    if run.start_from is not None:
        yield from _excesses(run.start_from.run, card, f"{prefix}.start_from.run")


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping | list | tuple):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(inner)
    else:
        yield value


def _in_known_words(run: Run, card: Card) -> dict[str, Any]:
    """The run's fields with a method and a model of the suite in the place of those that have no file here."""
    fields = asdict(run)
    if run.method not in METHODS:
        fields |= {"method": STAND_INS.get(card.starts, "static"), "method_options": {}}
    if run.model in card.models:
        fields |= {"model": "lenet300", "model_options": {}, "layout": "default", "layers": {}}
    if run.start_from is not None:
        fields["start_from"]["run"] = _in_known_words(run.start_from.run, card)
    return fields


@functools.lru_cache(maxsize=256)
def _refuse_giants(model: str, options: str, shape: tuple[int, ...], classes: int) -> None:
    try:
        network = models.skeleton(model, shape, classes, **json.loads(options))
    except Exception as error:  # whatever a model's code makes of a stranger's options
        raise ValueError(f"builds no {model}: {type(error).__name__}: {error}") from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if parameters > PARAMETERS:
        raise ValueError(f"builds a network of {parameters} parameters, costs are recomputed up to {PARAMETERS}")


def _declared(run: Run, record: Record, card: Card, shape: tuple[int, ...], classes: int) -> Spec:
    """Of a model of somebody's own: the shapes that the record has, used as often as the card says."""
    positions = card.models[run.model].positions
    named = [layer.layer for layer in record.layers]
    if record.layers and sorted(named) != sorted(positions):
        raise ValueError(f"has layers {', '.join(named)}, the card has positions of {', '.join(positions)}")
    for layer in record.layers:
        if not (layer.shape and min(layer.shape) >= 1 and math.prod(layer.shape) <= LARGEST_LAYER):
            raise ValueError(
                f"has layer {layer.layer} of shape {quoted(layer.shape)}; sizes are from 1, weights to {LARGEST_LAYER}"
            )
    network = NetworkCost(tuple(LayerCost(row.layer, row.shape, positions[row.layer]) for row in record.layers))
    dense = {convention: network.inference_flops(convention) for convention in CONVENTIONS}
    return Spec(run, None, shape, classes, {}, 0, network, dense)


def _found_shapes(network: NetworkCost, record: Record) -> dict[str, tuple[int, ...]]:
    """The record's shapes, none larger than those of the network that they were found in."""
    whole = {layer.layer: layer.shape for layer in network.layers}
    found = {layer.layer: layer.shape for layer in record.layers}
    fits = found.keys() == whole.keys() and all(
        len(shape) == len(whole[name])
        and all(0 < ours <= theirs for ours, theirs in zip(shape, whole[name], strict=True))
        for name, shape in found.items()
    )
    if not fits:
        raise ValueError(f"has layers of shapes {quoted(found)}, they must be found within {quoted(whole)}")
    return found
