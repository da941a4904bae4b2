"""The entry point, as the workflow calls it, with the methods of the suite."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

from analysis import readme
from analysis.build import main
from sparse_methods.methods import METHODS

AUDIT = """source,place,line,method,sparsity,distribution,multiplier,metric,published,recomputed,verdict,kind
evci2020rigl,Figure 2 (left),17,RigL,0.8,uniform,5,test_flops_x,0.23,0.22536,agrees,agrees
evci2020rigl,Figure 2 (left),17,RigL,0.8,uniform,5,train_flops_x,1.10,1.13960,agrees,agrees
"""


def pages(out: Path) -> list[str]:
    """Where one study's figures and tables go."""
    return ["--study", "quick", "--figures", str(out / "figures"), "--tables", str(out)]


def test_a_study_has_its_figures_and_its_table(study: Path, tmp_path: Path) -> None:
    assert main(["study", "--records", str(study), *pages(tmp_path / "out")]) == 0
    drawn = {f"{name}.{kind}" for name in ("accuracy", "cost") for kind in ("png", "pdf", "csv")}
    assert {file.name for file in (tmp_path / "out/figures").iterdir()} == drawn
    written = {file.name for file in (tmp_path / "out").iterdir() if file.is_file()}
    assert written == {"main.csv", "main.html", "main.md", "main.tex", "claims.csv", "claims.md"}


def named_in_rules(variable: str) -> set[str]:
    """The keys of a dict of paper.smk, which cannot import what it names: matplotlib would cost every dry-run seconds."""
    text = (Path(__file__).parents[2] / "pipeline/rules/paper.smk").read_text(encoding="utf-8")
    return set(re.findall(r'"(\w+)":', text.split(f"{variable} = {{")[1].split("}")[0]))


def test_the_paper_s_figures_and_tables_are_those_of_the_rules(study: Path, tmp_path: Path) -> None:
    out = {kind: tmp_path / kind for kind in ("figures", "tables")}
    assert (
        main(["paper", "--records", str(study), "--figures", str(out["figures"]), "--tables", str(out["tables"])]) == 0
    )
    for kind, forms in (("figures", "png pdf csv txt"), ("tables", "html md csv tex")):
        expected = {f"{name}.{form}" for name in named_in_rules(f"PAPER_{kind.upper()}") for form in forms.split()}
        assert {file.name for file in out[kind].iterdir()} == expected


def test_claims_and_leaderboard_write_their_files(study: Path, landscape: Path, tmp_path: Path) -> None:
    shutil.copytree(Path(__file__).parents[1] / "submissions/example", tmp_path / "submissions/example")
    given = ["--records", str(study), "--out"]
    assert main(["claims", *given, str(tmp_path / "claims"), "--measured", str(landscape)]) == 0
    written = {file.name for file in (tmp_path / "claims").iterdir()}
    assert written == {f"claims.{form}" for form in ("csv", "json", "md", "html")}
    assert main(["leaderboard", *given, str(tmp_path / "board"), "--submissions", str(tmp_path / "submissions")]) == 0
    written = {file.name for file in (tmp_path / "board").iterdir()}
    assert written == {"index.html", "embedded.html", "leaderboard.csv", "leaderboard.json"}


def test_runs_restrict_what_is_built(study: Path, tmp_path: Path, factory: SimpleNamespace) -> None:
    chosen = tmp_path / "runs.txt"
    chosen.write_text("".join(f"{factory.run('rigl', 0.8, seed).path}\n" for seed in range(3)))
    out = tmp_path / "out"
    arguments = ["study", "--records", str(study), "--runs", str(chosen), *pages(out)]
    assert main(arguments) == 0
    assert list(pd.read_csv(out / "main.csv")["series"]) == [METHODS["rigl"].label]


def test_collected_records_build_the_same_tables(study: Path, tmp_path: Path) -> None:
    reference = tmp_path / "reference" / "quick"
    assert main(["collect", "--records", str(study), "--out", str(reference / "records.jsonl")]) == 0
    for folder, out in ((study, "a"), (reference, "b")):
        assert main(["study", "--records", str(folder), *pages(tmp_path / out)]) == 0
    for name in ("main.csv", "main.html", "main.md", "main.tex"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_readme_has_the_methods_and_names_studies_by_their_folders(study: Path, tmp_path: Path) -> None:
    text = tmp_path / "README.md"
    text.write_text(
        "\n".join(line for name in ("methods", "results", "claims", "audit") for line in readme.markers(name))
    )
    audit = tmp_path / "audit.csv"
    audit.write_text(AUDIT)
    arguments = ["readme", "--records", str(study), "--claims", str(study)]
    arguments += ["--audit", str(audit), "--readme", str(text)]
    assert main(arguments) == 0
    first = text.read_text()
    assert "### runs" in first
    assert all(f"`{name}`" in first for name in METHODS)
    assert "| RigL is at least as accurate as Static at every sparsity" in first
    assert "| 80 %, uniform, 5× | agrees | 0.23× | 0.2254× | 1.10× | 1.1396× |" in first
    assert main(arguments) == 0
    assert text.read_text() == first


def test_errors_are_short_and_end_with_code_2(
    study: Path, tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture
) -> None:
    broken = study / factory.run("rigl", 0.8, 0).path / "record.json"
    broken.write_text("{")
    assert main(["study", "--records", str(study), *pages(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert str(broken) in message
    assert len(message.splitlines()) <= 2
    missing = ["--audit", str(tmp_path / "none.csv"), "--readme", str(tmp_path / "none.md")]
    assert main(["readme", "--records", str(study), "--claims", str(study), *missing]) == 2


def test_records_kept_apart_are_announced(
    study: Path, tmp_path: Path, factory: SimpleNamespace, capsys: pytest.CaptureFixture
) -> None:
    file = study / factory.run("rigl", 0.8, 0).path / "record.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"comparability_version": 0}))
    assert main(["study", "--records", str(study), *pages(tmp_path / "out")]) == 0
    assert "1 records of comparability version 0 are kept apart" in capsys.readouterr().err
    assert "97.3 ± 1.3 (n=2)" in (tmp_path / "out" / "main.md").read_text()
