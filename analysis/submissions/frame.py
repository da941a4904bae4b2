"""From submissions without defects to the points that the leaderboard shows beside published and reproduced ones."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from analysis import points
from analysis.records import Table, tidy
from analysis.submissions import folder as folders
from analysis.submissions.checker import Submission, check
from analysis.submissions.defects import DefectiveError
from analysis.submissions.due import foreign_method
from pipeline.record import COMPARABILITY_VERSION
from sparse_methods.methods import METHODS

SUBMITTED = "submitted"
CARD_COLUMNS = {
    "citation": "BibTeX key of the method's paper",
    "paper": "its title",
    "paper_link": "its address",
    "bibtex": "one entry, as the card has it",
    "code": "address of the code that made the records",
    "contact": "whom to ask",
    "licence": "SPDX name of the records' terms",
    "training": "how the runs were made",
    "different_code": "what differs, of records that other code of a suite's method made; else empty",
    "dense_parts": "what is dense while the method trains; empty where nothing is",
    "seeds": "indices of the seeds that there are records of, as a list",
}
"""Columns of ``load`` beside those of ``analysis.points``."""


def load(folder: Path) -> pd.DataFrame:
    """One row a cell and metric of every submission at ``folder``, in the columns of ``analysis.points`` and CARD_COLUMNS.

    ``folder`` is one submission, or holds one folder each. Kind is SUBMITTED, source the submission's name. Texts are as
    their authors wrote them: whoever shows them escapes them. Raises DefectiveError, which names every defect, for a
    submission that has any; AnalysisError when there is no such folder.
    """
    frames = [of(checked(path)) for path in folders.found(Path(folder))]
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=[*points.COLUMNS, *CARD_COLUMNS])
    return pd.concat(filled, ignore_index=True)


def checked(folder: Path) -> Submission:
    """The submission in ``folder``. Raises DefectiveError where it has defects."""
    submission, defects = check(folder)
    if submission is None:
        raise DefectiveError(folder.absolute().name, defects)
    return submission


def table(submission: Submission) -> Table:
    """Its records as ``analysis.records.load`` would give them, a method that has no file here by what the card says."""
    frame = tidy(submission.loaded, methods(submission))
    current = frame["comparability_version"] == COMPARABILITY_VERSION
    ours = tuple(item for item in submission.loaded if item.record.comparability_version == COMPARABILITY_VERSION)
    return Table(frame[current].reset_index(drop=True), frame[~current].reset_index(drop=True), ours)


def methods(submission: Submission) -> Mapping[str, Any]:
    """The suite's methods, those of other code labelled as such, and the card's."""
    card = submission.card
    known: dict[str, Any] = dict(METHODS)
    for name in card.different_code:
        known[name] = type(name, (METHODS[name],), {"label": f"{METHODS[name].label}, different code"})
    if card.method not in METHODS:
        known[card.method] = type(foreign_method(card))
    return known


def of(submission: Submission) -> pd.DataFrame:
    """The rows of one submission."""
    card, own = submission.card, methods(submission)
    found = table(submission)
    frame = points.reproduced(found).assign(kind=SUBMITTED, source=submission.name, url=card.code)
    seeds = found.current.groupby("cell")["seed"].agg(list).to_dict()
    about = {
        "paper": card.paper.title,
        "paper_link": card.paper.link,
        "bibtex": card.bibtex,
        "code": card.code,
        "contact": card.contact,
        "licence": card.licence,
        "training": card.training,
    }
    filled = frame.assign(
        **about,
        citation=[card.citation if name == card.method else own[name].citation for name in frame["method"]],
        different_code=[card.different_code.get(name, "") for name in frame["method"]],
        dense_parts=["; ".join(own[name].dense_parts) for name in frame["method"]],
        seeds=[sorted(seeds[cell]) for cell in frame["cell"]],
    )
    return filled[[*points.COLUMNS, *CARD_COLUMNS]]
