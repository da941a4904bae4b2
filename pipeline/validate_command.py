"""``rigl-bench validate``: is a study one that can be run, is a submission one that can be shown?"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from pipeline.data import sources
from pipeline.plan import resolve
from pipeline.present import out
from pipeline.study import load_study, study_names

What = Annotated[
    list[str],
    typer.Argument(
        metavar="STUDY|FOLDER...",
        help="Studies by name or .yaml file, submissions by their folder or the folder above.",
    ),
]


def validate(what: What) -> None:
    """Check studies (keys, names, values, every run's network) and submissions (card, records, everything recomputed).

    Every defect is named; with any, the exit code is 2.
    """
    defects = [defect for name in what for defect in _checked(name)]
    for defect in defects:
        print(defect, file=sys.stderr)
    if len(defects) > 1:
        print(f"{len(defects)} defects", file=sys.stderr)
    if defects:
        raise typer.Exit(2)


def _checked(name: str) -> list[str]:
    """The defects of one study or of the submissions in one folder; what is right is said at once."""
    if name in study_names() or not Path(name).is_dir():
        try:
            _check_study(name)
        except ValueError as error:
            return str(error).splitlines()
        return []
    # Imported here: analysis is for people's questions, and training does without it.
    from analysis import submissions

    defects: list[str] = []
    folders = submissions.found(Path(name))
    for folder in folders:
        submission, wrong = submissions.check(folder)
        defects += map(str, wrong)
        if submission is not None:
            runs, method = len(submission.loaded), submission.card.method
            out.print(f"{submission.name} is valid: {runs} records for {method}", highlight=False, soft_wrap=True)
            for note in submission.notes:
                out.print(f"note: {note}", highlight=False, soft_wrap=True, markup=False)
    if not folders:
        out.print(f"{name} holds no submission", highlight=False, soft_wrap=True, markup=False)
    return defects


def _check_study(name: str) -> None:
    """Raises ValueError that says what is wrong, one line a defect."""
    chosen = load_study(name)
    shapes = {dataset: sources.known_shape(dataset) for dataset in chosen.datasets}
    found = sum(run.finds_its_network for run in chosen.runs)
    known = [(run, *shapes[run.dataset]) for run in chosen.runs if shapes[run.dataset]]
    specs = [resolve(run, run.sample_shape(shape), classes) for run, shape, classes in known]
    skips = Counter(f"{spec.run.cell}: {spec.skip}" for spec in specs if spec.skip is not None)
    unknown = len(chosen.runs) - len(specs)
    notes = [f"{skips.total()} to be skipped"] * bool(skips)
    notes += [f"{found} whose network another run finds first"] * bool(found)
    notes += [f"{unknown} on a data set of your own, whose shape is known once it is prepared"] * bool(unknown)
    out.print(
        f"{chosen.name} is valid: {len(chosen.runs)} runs in {len(chosen.jobs())} jobs"
        + "".join(f", {note}" for note in notes)
    )
    for reason, count in skips.items():
        out.print(f"skipped ({count}) {reason}", highlight=False, soft_wrap=True)
