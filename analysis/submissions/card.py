"""The card of a submission: who made the records, with what method, and under which terms; each key says what it means.

A card that speaks of a method of the suite's own repeats its label and family; one of a new method says what its file in
``sparse_methods/methods`` would.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import bibtexparser
import yaml
from bibtexparser.bibtexexpression import BibtexExpression
from bibtexparser.bparser import BibTexParser
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.functional_validators import AfterValidator

from analysis import references
from analysis.submissions.defects import Defect, quoted
from analysis.submissions.strict import problems_of_characters, problems_of_text
from pipeline import yaml_source
from pipeline.data import sources
from pipeline.factories import is_dotted
from sparse_methods.method import Family, Promise
from sparse_methods.methods import METHODS

LICENCES = (
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "PDDL-1.0", "ODC-By-1.0", "ODbL-1.0"),
    *("Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause"),
)
"""SPDX names of terms that let anyone show the records, compare with them and pass them on."""
DEEPEST = 6
"""Levels of a card's YAML."""
UNUSUAL = (yaml.AnchorToken, yaml.AliasToken, yaml.TagToken, yaml.DirectiveToken)
OPENING = (
    *(yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken),
    *(yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken),
)
CLOSING = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
LINK = re.compile(r"https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~:/?#!$&()*+,;=%-]*)?")
LETTERS = "aa|AA|ae|AE|oe|OE|ss|o|O|l|L|i|j|b|c|d|H|k|r|t|u|v|emph|textit|textsc"
COMMANDS = re.compile(rf"\\(?:[\"'`^~=.&%_#$ {{}}-]|(?:{LETTERS})$)")
"""Accents, letters and emphasis; any other command of TeX would be run by whoever pastes the entry."""
ENTRY = re.compile(r"\s*@[A-Za-z]+\s*\{\s*[A-Za-z0-9_:.+-]{1,80}\s*,")
BIBTEX_NEEDS = ("title", "author", "year")


BLANK = {
    "label": "without a label",
    "family": "sparse-to-sparse",
    "year": 2000,
    "paper": {"title": "none", "link": "https://example.org"},
    "bibtex": "@misc{none, title = {none}, author = {none}, year = {2000}}",
    "code": "https://example.org",
    "contact": "nobody",
    "licence": "CC0-1.0",
    "training": "unknown",
}
"""For keys that must be there and say nothing that a record could contradict."""


def _sentence(longest: int, lines: bool = False) -> Any:
    """A text that can be shown: not empty, of at most ``longest`` characters."""

    def checked(text: str) -> str:
        problems = list(problems_of_text(text, longest, lines))
        if not text.strip():
            problems.append("is empty")
        if problems:
            raise ValueError("; ".join(problems))
        return text

    return Annotated[str, AfterValidator(checked)]


def _bibtex(text: str) -> str:
    problems = list(problems_of_characters(text, 4000, lines=True)) or list(bibtex_problems(text))
    if problems:
        raise ValueError("; ".join(problems))
    return text


def _link(text: str) -> str:
    if len(text) > 300 or not LINK.fullmatch(text):
        raise ValueError(f"is {quoted(text)}, it must be a plain https:// address of at most 300 characters")
    return text


def _dotted(text: str) -> str:
    if len(text) > 120 or not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text, re.ASCII):
        raise ValueError(
            f"is {quoted(text)}, it must be of the form package.module:factory; the suite's own need no words"
        )
    return text


Link = Annotated[str, AfterValidator(_link)]
Dotted = Annotated[str, AfterValidator(_dotted)]
MethodName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Words, Paragraph = _sentence(120), _sentence(2000, lines=True)
Size = Annotated[int, Field(ge=1, le=100_000)]
STRICT = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class Paper(BaseModel):
    """Where the method is described."""

    model_config = STRICT

    title: _sentence(300)
    link: Link


class Network(BaseModel):
    """A model of your own. Its code is not run here: its costs follow from these numbers and the records' shapes."""

    model_config = STRICT

    positions: Annotated[dict[Words, Annotated[int, Field(ge=1, le=10**9)]], Field(min_length=1, max_length=2000)]
    """How often each layer's weights are used for one sample: output pixels of a convolution, 1 for a linear layer."""


class Data(BaseModel):
    """A data set of your own."""

    model_config = STRICT

    link: Link
    """Where others get it."""
    input_shape: Annotated[list[Size], Field(min_length=1, max_length=4)]
    """Of one sample, without the batch."""
    classes: Size
    test_samples: Annotated[int, Field(ge=1, le=10**12)]
    """What accuracy is measured on."""


class Card(BaseModel):
    """The keys of card.yaml."""

    model_config = STRICT

    method: MethodName
    """As the records name it; a method of the suite, or a new one."""
    label: _sentence(40)
    """Of the method, for legends and rows."""
    family: Family
    year: Annotated[int, Field(ge=1980, le=2100)]
    """In which the method was published."""
    paper: Paper
    bibtex: Annotated[str, AfterValidator(_bibtex)]
    """One entry, to be cited by whoever uses the method."""
    code: Link
    """Where the code that made the records is: a repository or an archive, at a commit or a version."""
    contact: Words
    """Whom to ask: a name with an address or an account."""
    licence: Literal[LICENCES]
    """Of the records."""
    training: Paragraph
    """How the runs were made: command, hardware, and what differs from `rigl-bench run`."""
    dense_parts: Annotated[list[Words], Field(max_length=8)] = []
    """What is dense while the method trains, and when; empty: nothing."""
    starts: Literal["random", "dense", "magnitude", "origin", "first_batch", "unmasked"] = "random"
    """The method's first mask, in the words of sparse_methods/method.py."""
    ignores: list[Literal["sparsity", "distribution", "layout", "topology"]] = []
    """Fields of a run that have no meaning for the method; sparsity, where it is an outcome."""
    exempt: dict[Promise, Words] = {}
    """Promises of the contract that the method does not keep, each with the reason, as in sparse_methods/method.py."""
    cheaper: Words | None = None
    """Why training costs less than passes through the final network, where it does: weights are added late, or not all that
    are active are trained."""
    different_code: dict[MethodName, Words] = {}
    """Methods of the suite whose records were made by other code than this version's, each with what differs."""
    models: Annotated[dict[Dotted, Network], Field(max_length=20)] = {}
    """Models of your own, by the name that the records have for them."""
    datasets: Annotated[dict[Dotted, Data], Field(max_length=20)] = {}
    """Data sets of your own, by the name that the records have for them."""

    @model_validator(mode="after")
    def _speaks_of_one_method(self) -> Card:
        own = METHODS.get(self.method)
        for field in ("label", "family", "year", "starts", "ignores", "exempt") if own else ():
            ours, theirs = getattr(own, field), getattr(self, field)
            if field in ("ignores", "exempt"):  # in any order, and the reasons in other words
                ours, theirs = sorted(ours), sorted(theirs)
            if ours != theirs:
                told = f"{field} is {quoted(theirs)}, the suite's {self.method} has {quoted(ours)}"
                raise ValueError(f"{told}; give a method of your own another name")
        taken = {method.label.casefold(): name for name, method in METHODS.items() if name != self.method}
        if self.label.casefold() in taken:
            raise ValueError(
                f"label {quoted(self.label)} is that of the suite's {taken[self.label.casefold()]}; give another"
            )
        unknown = sorted(set(self.different_code) - set(METHODS))
        if unknown:
            raise ValueError(f"different_code speaks of {', '.join(unknown)}, which the suite does not have")
        listed = _bibliography().get(self.citation)
        if listed is not None and _plain(listed["title"]) != _plain(_entries(self.bibtex)[0]["title"]):
            raise ValueError(f"bibtex has the key {self.citation}, which is another paper in the suite's bibliography")
        return self

    @property
    def citation(self) -> str:
        """Key of the BibTeX entry."""
        return _entries(self.bibtex)[0]["ID"]

    def sample(self, dataset: str) -> tuple[tuple[int, ...], int] | None:
        """Shape of a sample and number of classes of a data set of the suite or of this card; None for any other."""
        if dataset in self.datasets:
            declared = self.datasets[dataset]
            return tuple(declared.input_shape), declared.classes
        return None if is_dotted(dataset) else sources.known_shape(dataset)


def read(path: Path, text: str) -> tuple[Card | None, list[Defect]]:
    """The card in the file ``path``, whose content is ``text``, and everything that is wrong with it.

    Of a card with defects it is what records can be held against all the same, with BLANK in the place of what is wrong; None
    where the method is not known from it.
    """
    file = str(path)
    try:
        _refuse_unusual(text)
        content, lines = yaml_source.read(path)
    except yaml_source.StudyError as error:
        return None, [_unreadable(file, str(error))]
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        return None, [Defect(file, line, "", f"is not YAML: {error.problem}")]
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        # ValueError: what looks like a date or a number and is none, such as 2026-99-99.
        return None, [Defect(file, None, "", f"is not YAML: {error}")]
    try:
        return Card.model_validate(content), []
    except ValidationError as error:
        defects = [_defect(file, lines, found) for found in error.errors()]
        return _without(content, {found["loc"][:1] for found in error.errors()}), defects


def _without(content: Mapping[str, Any], wrong: set[tuple]) -> Card | None:
    """The card without the keys that are wrong; () is the card as a whole."""
    keys = {key for first in wrong for key in first}
    if () in wrong or "method" in keys:
        return None
    right = {key: value for key, value in content.items() if key not in keys}
    try:
        return Card.model_validate(BLANK | right)
    except ValidationError:  # what is right by itself clashes with the suite
        return None


def bibtex_problems(text: str) -> Iterator[str]:
    """What keeps ``text`` from being one BibTeX entry that may be pasted into a paper."""
    depth = _depth(text)
    if depth is None or depth > DEEPEST or not ENTRY.match(text):
        form = f"braces that match, at most {DEEPEST} levels of them, and a key of letters, digits and _:.+-"
        yield f"must be one entry, @article{{key, ...}} or the like, with {form}"
        return
    for command in re.finditer(r"\\(?:[A-Za-z]+|.|$)", text):
        if not COMMANDS.match(command[0]):
            yield f"has the command {quoted(command[0])}; only accents, letters and emphasis may stand in it"
    try:
        entries = _entries(text)
    except (KeyError, ValueError, BibtexExpression.ParseException) as error:
        yield f"cannot be read: {error}"
        return
    if len(entries) != 1:
        yield f"holds {len(entries)} entries that can be read, it must be one"
        return
    missing = [name for name in BIBTEX_NEEDS if not entries[0].get(name)]
    if missing:
        yield f"has no {', '.join(missing)}; an entry has {', '.join(BIBTEX_NEEDS)}"


def _entries(text: str) -> list[dict[str, str]]:
    return bibtexparser.loads(text, BibTexParser(common_strings=True, ignore_nonstandard_types=False)).entries


@functools.cache
def _bibliography() -> dict[str, dict[str, str]]:
    return references.load().entries


def _plain(title: str) -> str:
    return "".join(character for character in title.casefold() if character.isalnum())


def _depth(text: str) -> int | None:
    """The deepest level of braces; None where they do not match, or something follows the first that closes them all."""
    depth = deepest = 0
    end = len(text.rstrip()) - 1
    for brace in re.finditer(r"[{}]", text):
        depth += 1 if brace[0] == "{" else -1
        deepest = max(deepest, depth)
        if depth < 0 or (depth == 0 and brace.start() != end):
            return None
    return None if depth else deepest


def _refuse_unusual(text: str) -> None:
    """Raise MarkedYAMLError for YAML that no card needs and that costs more to read than it is long, or recurses.

    By the tokens, which are read one after another: an alias of an alias stands for any number of values.
    """
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        if isinstance(token, UNUSUAL):
            raise yaml.MarkedYAMLError(
                problem="a card has no anchors, tags or directives", problem_mark=token.start_mark
            )
        depth += isinstance(token, OPENING) - isinstance(token, CLOSING)
        if depth > DEEPEST:
            raise yaml.MarkedYAMLError(problem=f"nested deeper than {DEEPEST} levels", problem_mark=token.start_mark)


def _unreadable(file: str, told: str) -> Defect:
    """``file:line: what is wrong``, as a study's reader says it, taken apart."""
    match = re.match(r":(\d+)?: (.*)", told.removeprefix(file), re.DOTALL)
    problem = (match[2] if match else told).replace("a study is", "a card is")
    return Defect(file, int(match[1]) if match and match[1] else None, "", problem)


def _defect(file: str, lines: Mapping[tuple, int], error: Mapping[str, Any]) -> Defect:
    """At the line of the key, or of the nearest key that holds it."""
    key = tuple(part for part in error["loc"] if part != "[key]")
    line = next((lines[key[:length]] for length in range(len(key), 0, -1) if key[:length] in lines), 1)
    problem = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        problem = f"unknown key; there are {', '.join(_fields(key[:-1]))}"
    elif error["type"] == "missing":
        problem = "is missing"
    elif error["type"] != "value_error":
        problem = f"is {quoted(error['input'])}; {problem[0].lower()}{problem[1:]}"
    return Defect(file, line, ".".join(map(str, key)), problem)


def _fields(key: tuple) -> list[str]:
    parts = {"paper": Paper, "models": Network, "datasets": Data}
    return list((parts[key[0]] if key else Card).model_fields)
