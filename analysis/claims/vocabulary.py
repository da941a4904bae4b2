"""The words of ``analysis/claims.yaml``: claims, the kinds of test, and the sides that tests compare.

What the file cannot say is refused by name: an unknown kind, key, method, option or citation is an AnalysisError that says
in which claim it stands and what would be valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from analysis import references
from analysis.claims.metrics import METRICS
from analysis.errors import AnalysisError
from analysis.landscape.claims import STATEMENTS
from analysis.reported import rows
from analysis.verdicts import LEAST_SEEDS
from pipeline.run import Topology

CLAIMS = Path(__file__).parents[1] / "claims.yaml"
CADENCE = ("update_every", "drop_fraction", "decay")
"""Fields of a run's topology that sweeps vary."""
OPTION = "options."
"""Before the name of a method's option, where a sweep varies it."""


class Word(BaseModel):
    """Whatever the file says."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known(value: str, names: Mapping[str, Any], kind: str) -> str:
    if value not in names:
        raise ValueError(f"there is no {kind} {value!r}; there are {', '.join(sorted(names))}")
    return value


class Start(Word):
    """Another run that a side begins from, of the same seed."""

    take: Literal["mask", "architecture"]
    """Its final mask, weights starting as it did; or the sizes of its network without dead units."""
    of: str
    """Its method. A run whose mask is taken is alike in all else."""


class Side(Word):
    """Which runs stand on one side of a comparison; a method's name alone is short for its plain runs.

    What is left out is not asked: both sides then have it in common. But cadence is the paper's wherever a side was trained
    at that and at others.
    """

    method: str
    options: dict[str, Any] = Field(default_factory=dict)
    distribution: Literal["uniform", "erdos_renyi", "erk"] | None = None
    sparsity: float | None = Field(None, ge=0, lt=1)
    layout: str | None = None
    precision: Literal["float32", "bf16"] | None = None
    length: float = Field(1.0, gt=0)
    """Training length over that of a side of length 1."""
    update_every: int | None = Field(None, ge=1)
    drop_fraction: float | None = Field(None, ge=0, le=1)
    decay: str | None = None
    network: dict[str, Any] | None = None
    """Options of the model; None: those that the other side has."""
    start: Start | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _of_the_suite(self, info: ValidationInfo) -> Side:
        methods = info.context["methods"]
        for name in (self.method, *((self.start.of,) if self.start else ())):
            _known(name, methods, "method")
        for name in self.options:
            _known(name, vars_of(methods[self.method]), f"option of {self.method}")
        if self.decay is not None:
            Topology(decay=self.decay)
        return self

    @property
    def cadence(self) -> dict[str, Any]:
        """What is asked of it."""
        return {name: getattr(self, name) for name in CADENCE if getattr(self, name) is not None}


def vars_of(method: Any) -> dict[str, Any]:
    """Options of a method and their defaults."""
    return {name: field.default for name, field in getattr(method, "__dataclass_fields__", {}).items()}


class Where(Word):
    """Settings that a test is asked of; what is left out does not restrict."""

    model: list[str] = []
    dataset: list[str] = []
    distribution: Literal["uniform", "erdos_renyi", "erk"] | None = None
    sparsity: tuple[float, float] = (0.0, 1.0)
    """From, to; both included."""
    multiplier: tuple[float, float] = (0.0, inf)


class Test(Word):
    """What every kind has."""

    metric: str = "accuracy"
    where: Where = Where()
    least: int = Field(LEAST_SEEDS, ge=2)
    """Seeds below which it is undecided."""

    @field_validator("metric")
    @classmethod
    def _metric(cls, value: str) -> str:
        return _known(value, METRICS, "metric")


class Beats(Test):
    """Each side is better than the next."""

    test: Literal["beats"]
    sides: list[Side] = Field(min_length=2)
    by: float = Field(0.0, ge=0)
    """By more than this, in the metric's unit (points, bits, a share)."""


class Reaches(Test):
    """The first side is no worse than the second by more than ``within``."""

    test: Literal["reaches"]
    sides: list[Side] = Field(min_length=2, max_length=2)
    within: float = Field(gt=0)
    """In the metric's unit (points, bits, a share)."""


class Equals(Test):
    """Neither side is better than the other by more than ``within``."""

    test: Literal["equals"]
    sides: list[Side] = Field(min_length=2, max_length=2)
    within: float = Field(gt=0)


class Change(Word):
    """From one side to another."""

    before: Side
    after: Side


class GainsMore(Test):
    """The first change gains more than the second: a difference of differences."""

    test: Literal["gains_more"]
    first: Change
    second: Change


class GapWidens(Test):
    """The lead of the first side over the second grows with sparsity: the slope of the paired difference."""

    test: Literal["gap_widens"]
    sides: list[Side] = Field(min_length=2, max_length=2)
    by_sparsities: int = Field(3, ge=2)
    """Sparsities that a setting must have."""


class BeatsAtEqualCost(Test):
    """The first side is better than the second at another sparsity where inference costs the same."""

    test: Literal["beats_at_equal_cost"]
    sides: list[Side] = Field(min_length=2, max_length=2)
    tolerance: float = Field(0.05, gt=0)
    """Share by which the FLOPs may differ."""


class BestOfSweep(Test):
    """The chosen values, taken together where there are several, are better than each other value that was tried.

    What of the cadence is neither swept nor fixed by ``side`` makes settings of its own.
    """

    test: Literal["best_of_sweep"]
    side: Side
    over: list[str] = Field(min_length=1)
    """Fields of cadence, or ``options.NAME``."""
    chosen: list[dict[str, Any]] = Field(min_length=1)
    within: float = Field(0.0, ge=0)
    """By how much, in the metric's unit, the best of the others may be ahead."""
    others: int = Field(2, ge=1)
    """Values that must have been tried beside them."""

    @model_validator(mode="after")
    def _swept(self, info: ValidationInfo) -> BestOfSweep:
        options = {
            OPTION + name: default for name, default in vars_of(info.context["methods"][self.side.method]).items()
        }
        for name in self.over:
            _known(name, dict.fromkeys(CADENCE) | options, "field to sweep")
        for value in self.chosen:
            if set(value) != set(self.over):
                raise ValueError(f"the chosen {value} must say {', '.join(self.over)}")
        return self


class Published(Test):
    """A side against numbers of the published record."""

    test: Literal["published"]
    side: Side
    relation: Literal["beats", "reaches", "equals"]
    within: float = Field(0.0, ge=0)
    source: str
    """Key of the record."""
    row: dict[str, str]
    """Columns of published.csv and their values, as printed."""
    each_sparsity: bool = False
    """Take the row of a setting's own sparsity."""

    @model_validator(mode="after")
    def _is_printed(self) -> Published:
        if not self.rows():
            raise ValueError(f"the published record has no row of {self.source} with {self.row}")
        return self

    def rows(self) -> list[Any]:
        """The rows that are meant."""
        return [row for row in rows() if row.source_key == self.source and self.row.items() <= vars(row).items()]


class Costs(Word):
    """FLOPs of the first side over those of the second, from the code: exact, without any run."""

    test: Literal["costs"]
    sides: list[Side] = Field(min_length=2, max_length=2)
    quantity: Literal["inference", "training"]
    model: str
    sparsities: list[float] = Field(min_length=1)
    """Of sides that have none of their own."""
    distributions: list[Literal["uniform", "erdos_renyi", "erk"]] = ["uniform"]
    """Of sides that have none of their own."""
    between: tuple[float, float]


class Landscape(Word):
    """What ``analysis.landscape.claims`` states of measurements."""

    test: Literal["landscape"]
    statement: str

    @field_validator("statement")
    @classmethod
    def _statement(cls, value: str) -> str:
        return _known(value, {statement.name: statement for statement in STATEMENTS}, "statement")


Comparison = Beats | Reaches | Equals | GainsMore | GapWidens | BeatsAtEqualCost | BestOfSweep | Published
"""Kinds of test over records."""
AnyTest = Annotated[Comparison | Costs | Landscape, Field(discriminator="test")]


class Claim(Word):
    """A sentence of a paper, in our words, and what is asked of records."""

    id: str = Field(pattern=r"^[a-z0-9-]+$")
    sentence: str
    source: str
    """Key of the bibliography."""
    place: str
    scale: str
    """Where the paper tested it."""
    tests: list[AnyTest] = []
    untested: str = ""
    """Why it, or a part of it, is not tested."""
    note: str = ""
    """What the test takes for granted, or means by a word that the paper leaves open."""

    @model_validator(mode="after")
    def _is_asked(self) -> Claim:
        if not self.tests and not self.untested:
            raise ValueError("it has no tests: say under `untested` why")
        return self


class Claims(Word):
    """The whole file."""

    claims: list[Claim]


def load(methods: Mapping[str, Any], path: Path = CLAIMS) -> list[Claim]:
    """The claims of ``path``; see ``parse``."""
    return parse(yaml.safe_load(path.read_text(encoding="utf-8")), methods, path.name)


def parse(data: Any, methods: Mapping[str, Any], name: str = CLAIMS.name) -> list[Claim]:
    """The claims that ``data``, a list from YAML, holds; ``methods`` is ``sparse_methods.methods.METHODS``.

    Raises AnalysisError, naming the file ``name``, the claim and the place, for what the vocabulary does not hold.
    """
    try:
        found = Claims.model_validate({"claims": data}, context={"methods": methods}).claims
    except ValidationError as error:
        raise AnalysisError(_defect(name, data, error)) from error
    ids = [claim.id for claim in found]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise AnalysisError(f"{name} has two claims named {', '.join(twice)}\nnames must differ")
    bibliography = references.load()
    for claim in found:
        if claim.source not in bibliography.entries:
            known = ", ".join(sorted(bibliography.entries))
            raise AnalysisError(f"{name}, claim {claim.id}: no reference {claim.source!r}\nthere are {known}")
    return found


def _defect(name: str, data: Any, error: ValidationError) -> str:
    first = error.errors()[0]
    _, *place = first["loc"]
    if not place:
        return f"{name} is not a list of claims\n{first['msg']}"
    index, *inside = place
    one = data[index]
    claim = one.get("id", f"number {index + 1}") if isinstance(one, dict) else f"number {index + 1}"
    where = ".".join(map(str, inside)) or "the claim"
    return f"{name}, claim {claim}: {where}\n{first['msg'].removeprefix('Value error, ')}"
