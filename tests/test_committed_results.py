"""The README's numbers are those of the committed records, its methods those that there are."""

from __future__ import annotations

import re
from pathlib import Path

from analysis import readme, records, references
from analysis.audit import page, verdicts
from analysis.landscape import results
from analysis.tables import methods
from pipeline.present import method_cards
from sparse_methods.methods import METHODS

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results/reference"
STUDIES = ("mnist", "mnist-appendix-b", "quick")
"""Those whose tables stand in the README."""


def test_block_equals_what_the_records_give() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    studies = [(name, records.load([ROOT / "results/reference" / name], METHODS).current) for name in STUDIES]
    assert readme.replaced(text, readme.RESULTS, readme.results(studies)) == text, "run `make readme`"


def test_claims_are_what_the_records_say() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = records.union([path.parent for path in sorted(REFERENCE.glob("*/records.jsonl"))], METHODS)
    measured = results.load(sorted(REFERENCE.glob("*/landscape.jsonl")), METHODS)
    assert readme.replaced(text, readme.CLAIMS, readme.claims_block(table, measured)) == text, "run `make readme`"


def test_methods_are_listed_as_they_are() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = methods.markdown(method_cards(METHODS), references.load())
    assert readme.replaced(text, readme.METHODS, table) == text, "run `make readme`"


def test_the_audit_is_what_the_code_says() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    block = readme.audit_block(page.frame(verdicts.audit()))
    assert readme.replaced(text, readme.AUDIT, block) == text, "run `make readme`"


def test_files_that_the_readme_names_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_reference_records_are_whole() -> None:
    """Every reference study holds each run that its file asks for, done, and of this comparability version."""
    from pipeline.study import load_study

    for folder in (ROOT / "results/reference").glob("*/records.jsonl"):
        name = folder.parent.name
        table = records.load([ROOT / "results/reference" / name], METHODS)
        assert table.apart.empty
        assert set(table.current["run"]) == {run.path for run in load_study(name).runs}
        assert set(table.current["status"]) <= {"done", "diverged"}
