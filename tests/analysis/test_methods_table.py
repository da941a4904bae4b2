"""The table of methods: what a class states, in sentences that fit a table, each citation with an address."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from analysis import references
from analysis.tables import methods
from pipeline.present import MethodCard, method_cards
from sparse_methods.method import Method
from sparse_methods.methods import METHODS

PAPERS = references.load()
CARDS = {card.name: card for card in method_cards(METHODS)}
CARD = MethodCard(
    name="mine",
    label="Mine_1",
    family="one-shot",
    year=2026,
    citation="nobody2026",
    dense_parts=("weights, once", "gradient"),
    cannot=("a model: it has none", "a | b"),
    exempt={"layer counts": "it forgets", "total count": "it forgets", "plain steps": "it jumps"},
    train_flops="2 f_S: and why; more",
    peak_parameters="2 D",
)


def rows(*cards: MethodCard) -> list[list[str]]:
    """The cells of the table's rows, without its two lines of headings."""
    table, _ = methods.markdown(cards, PAPERS).split("\n\n")
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_texts_are_cut_to_what_they_say_first() -> None:
    (row,) = rows(CARD)
    assert row == [
        r"Mine\_1 `mine`",
        "one-shot",
        "2026",
        r"[nobody2026](analysis/published/references.bib)",
        "Weights, once; gradient",
        r"2 f\_S",
        "2 D",
        r"A model; a \| b; keep layer counts, total count or plain steps",
    ]


def test_every_method_has_a_row_and_a_link_to_its_paper() -> None:
    found = rows(*CARDS.values())
    assert sorted(row[0].split("`")[1] for row in found) == sorted(METHODS)
    assert {len(row) for row in found} == {len(methods.COLUMNS)}
    assert [
        row[3] for row in found if not re.fullmatch(r"\[\w+\]\(https://arxiv\.org/abs/\d{4}\.\d{4,5}\)", row[3])
    ] == []
    assert max(len(cell) for row in found for cell in row) < 140  # a cell is a sentence


def test_baselines_come_first_then_families_by_year() -> None:
    names = [
        row[0].split("`")[1] for row in rows(*(CARDS[name] for name in ("pruning", "set", "snip", "static", "dense")))
    ]
    assert names == ["dense", "static", "snip", "set", "pruning"]


@pytest.mark.parametrize(
    ("name", "train_flops"),
    [
        ("dense", "3 f_D"),
        ("small_dense", "3 f_S"),
        ("set", "3 f_S"),
        ("snfs", "2 f_S + f_D"),
        ("rigl", "(3 f_S dT + 2 f_S + f_D) / (dT + 1)"),
        ("topkast", "2 f_A + f_B"),
    ],
)
def test_training_costs_are_those_of_appendix_h(name: str, train_flops: str) -> None:
    assert CARDS[name].train_flops.startswith(train_flops)


@pytest.mark.parametrize("name", ["grasp", "synflow", "dsr", "snfs_redistributed", "str"])
def test_no_closed_form_where_layers_or_sparsity_are_free(name: str) -> None:
    assert CARDS[name].train_flops is None
    assert rows(CARDS[name])[0][5] == "No closed form"


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("dense", "2 D"),  # weights and gradient
        ("static", "2 S"),
        ("rigl", "S + D"),  # weights and the dense gradient of an update
        ("snfs", "S + 2 D"),  # and the running mean of the gradient
        ("dnw", "S + 2 D"),  # dense weights, the dense gradient, what the network computes with
        ("mest", "3 S"),  # soft bound: half as many weights again, and their gradient
        ("granet", "1.5 D"),  # at 50 % first, and the dense gradient
    ],
)
def test_peaks_by_hand(name: str, peak: str) -> None:
    assert CARDS[name].peak_parameters == peak


@pytest.mark.parametrize("name", METHODS)
def test_a_peak_in_symbols_is_the_peak_in_numbers(name: str) -> None:
    """At other sizes than it was found at, to one part in a thousand."""
    sparse, dense = 30_000, 400_000
    symbols = {"S": sparse, "D": sparse if name == "dense" else dense}  # dense is asked with all of its weights
    terms = [re.fullmatch(r"(?:([\d.]+) )?([SD])", term) for term in CARDS[name].peak_parameters.split(" + ")]
    found = sum(float(term[1] or 1) * symbols[term[2]] for term in terms)
    assert found == pytest.approx(METHODS[name]().peak_parameters(sparse, dense), rel=1e-3)


def test_a_cost_without_a_docstring_is_not_its_parents() -> None:
    def train_flops(self: Method, cost: SimpleNamespace) -> float:
        return cost.dense

    own = type("Own", (METHODS["snfs"],), {"name": "own", "train_flops": train_flops})
    (card,) = method_cards({"own": own})
    assert card.train_flops == "in the method's file"


def test_json_and_table_tell_the_same_limits() -> None:
    limits = CARDS["dsr"].limits()
    assert limits == (
        "a uniform distribution: weights move between layers",
        "keep layer counts: weights move between layers, the total stays",
    )
    assert CARDS["dsr"].as_json()["cannot"] == limits
