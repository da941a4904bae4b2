"""Builds what people see from records; the workflow's rules call this.

    python -m analysis.build claims --records results/reference/mnist --out claims

It ends with code 2 and one or two lines on stderr when the inputs are wrong.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from analysis import claims, readme, records, references, stats
from analysis.errors import AnalysisError
from analysis.tables import main as main_table


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse and do; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        options.act(options)
    except (AnalysisError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m analysis.build", description="Build results from records.")
    commands = parser.add_subparsers(required=True, metavar="WHAT")
    about = "Write the pages of one study: accuracy and cost (.png, .pdf, .csv), the main table, and what it says of claims."
    command = _command(commands, "study", about)
    command.add_argument("--study", required=True, help="name of the study, for titles")
    _figures_and_tables(command)
    command.set_defaults(act=_study)
    about = (
        "Write the pages of several studies, into a folder each: every folder of --records is one, and gives its name."
    )
    command = _command(commands, "studies", about)
    _figures_and_tables(command)
    command.set_defaults(act=_studies)
    about = "Write the paper's figures (.png, .pdf, .csv, .txt) and tables (.html, .md, .csv, .tex), reported and reproduced."
    command = _command(commands, "paper", about)
    _figures_and_tables(command)
    command.set_defaults(act=_paper)
    command = _command(commands, "claims", "Write what comes of the papers' claims: claims.html, .md, .csv and .json.")
    _measured_option(command, required=False)
    command.add_argument("--out", required=True, type=Path, help="folder to write into")
    command.set_defaults(act=_claims)
    command = _command(
        commands,
        "leaderboard",
        "Write index.html, the same for a report as embedded.html, leaderboard.csv and leaderboard.json.",
    )
    command.add_argument("--submissions", required=True, type=Path, help="folder with one folder a submission")
    command.add_argument("--out", required=True, type=Path, help="folder to write into")
    command.set_defaults(act=_leaderboard)
    command = _command(commands, "readme", "Regenerate the blocks of a README that stand between markers.")
    where = "folder with records that claims are held against"
    command.add_argument("--claims", required=True, type=Path, action="append", help=where)
    _measured_option(command, required=False)
    command.add_argument("--audit", required=True, type=Path, help="the audit.csv that `audit` wrote")
    command.add_argument("--readme", required=True, type=Path, help="the README")
    command.set_defaults(act=_readme)
    command = _command(commands, "collect", "Write the records of a folder as one records.jsonl to commit.")
    command.add_argument("--out", required=True, type=Path, help="the records.jsonl")
    command.set_defaults(act=_collect)
    about = "Write what every method costs, from the code alone: the table of costs, and the figures of training and layers."
    command = commands.add_parser("costs", help=about, description=about)
    command.add_argument("--model", default="resnet50", help="a model of the suite; default: %(default)s")
    command.add_argument("--out", required=True, type=Path, help="folder to write into")
    command.set_defaults(act=_costs)
    about = "Write what was measured of a study's loss landscape: the figures, their numbers, and what section 4.5 comes to."
    command = _measured_command(commands, "landscape", about)
    command.add_argument("--study", required=True, help="name of the study, for titles")
    command.add_argument("--out", required=True, type=Path, help="folder to write into")
    command.set_defaults(act=_landscape)
    about = "Write the measurements of a landscape as one landscape.jsonl to commit."
    command = _measured_command(commands, "collect-landscape", about)
    command.add_argument("--out", required=True, type=Path, help="the landscape.jsonl")
    command.set_defaults(act=_collect_landscape)
    about = "Recompute every FLOPs, size and sparsity cell of the published record; write the verdicts and the errata."
    command = commands.add_parser("audit", help=about, description=about)
    command.add_argument("--out", required=True, type=Path, help="folder to write into")
    command.set_defaults(act=_audit)
    return parser


def _command(commands: argparse._SubParsersAction, name: str, help: str | None) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=help, description=help)
    command.add_argument(
        "--records", required=True, type=Path, action="append", help="folder with records, below which all are read"
    )
    command.add_argument("--runs", type=Path, help="file with the run paths to keep, one per line; default: all")
    return command


def _measured_command(commands: argparse._SubParsersAction, name: str, about: str) -> argparse.ArgumentParser:
    command = commands.add_parser(name, help=about, description=about)
    _measured_option(command, required=True)
    return command


def _measured_option(command: argparse.ArgumentParser, required: bool) -> None:
    where = "folder with measurements of landscapes (.json, landscape.jsonl), or a .jsonl"
    command.add_argument("--measured", required=required, type=Path, action="append", default=None, help=where)


def _figures_and_tables(command: argparse.ArgumentParser) -> None:
    command.add_argument("--figures", required=True, type=Path, help="folder to write figures into")
    command.add_argument("--tables", required=True, type=Path, help="folder to write tables into")


def _study(options: argparse.Namespace) -> None:
    _write_study(_load(options.records, options), options.study, options.figures, options.tables)


def _studies(options: argparse.Namespace) -> None:
    for folder in options.records:
        study = folder.name
        _write_study(_load([folder], options), study, options.figures / study, options.tables / study)


def _write_study(table: records.Table, study: str, figures: Path, out: Path) -> None:
    # Imported here: matplotlib and seaborn take a second that the other commands need not wait.
    from analysis import style
    from analysis.figures import accuracy, cost

    cells, found = stats.cells(table.current), claims.findings(table.loaded)
    for name, module in (("accuracy", accuracy), ("cost", cost)):
        figure, data = module.draw(cells)
        style.save(figure, figures / name, data)
    out.mkdir(parents=True, exist_ok=True)
    claims.table(found).to_csv(out / "claims.csv", index=False, lineterminator="\n")
    (out / "claims.md").write_text(f"# Claims, study {study}\n\n{claims.markdown(found)}\n", encoding="utf-8")
    main_table.tidy(cells).to_csv(out / "main.csv", index=False, lineterminator="\n")
    (out / "main.md").write_text(f"# Study {study}\n\n{main_table.markdown(cells)}", encoding="utf-8")
    (out / "main.html").write_text(main_table.html(cells, f"Main table of study {study}", found), encoding="utf-8")
    (out / "main.tex").write_text(main_table.latex(cells, study), encoding="utf-8")


def _paper(options: argparse.Namespace) -> None:
    # Imported here: it imports torch and matplotlib, which --help and collect do without.
    from analysis import points, style
    from analysis.figures import paper as figures
    from analysis.tables import paper as tables

    table, bibliography = _everything(options), references.load()
    reproduced = points.reproduced(table)
    drawn = figures.draw(pd.concat([points.reported(bibliography), reproduced], ignore_index=True))
    for name, (figure, data) in drawn.items():
        style.save(figure, options.figures / name, data)
        (options.figures / f"{name}.txt").write_text(figures.caption(name, data) + "\n", encoding="utf-8")
    tables.write(reproduced, table, bibliography, options.tables)


def _claims(options: argparse.Namespace) -> None:
    from analysis.tables import claims as claims_page

    claims_page.write(claims.judge(_everything(options), _measured(options)), options.out)


def _leaderboard(options: argparse.Namespace) -> None:
    from analysis import points
    from analysis.leaderboard import page, recorded

    bibliography = references.load()
    parts = (points.reported(bibliography), recorded.of(_everything(options)), recorded.submitted(options.submissions))
    rows = pd.concat([part for part in parts if len(part)], ignore_index=True)
    ours = "All reference studies" if options.runs is None else "The runs of this machine"
    index, *_ = page.write(rows, bibliography, f"{ours} beside the published record", options.out)
    embedded = page.embedded(index.read_text(encoding="utf-8"))
    (options.out / "embedded.html").write_text(embedded, encoding="utf-8")


def _measured(options: argparse.Namespace):
    """The measurements of landscapes, if there are any (``analysis.landscape.results.Measured``)."""
    # Imported here: it imports torch, which --help and collect do without.
    from analysis.landscape import results
    from sparse_methods.methods import METHODS

    return results.load(options.measured, METHODS) if options.measured else None


def _everything(options: argparse.Namespace) -> records.Table:
    """The records of all folders together, or those of the listed runs."""
    # Imported here: it imports torch, which --help and collect do without.
    from sparse_methods.methods import METHODS

    if options.runs is not None:
        return _load(options.records, options)
    return records.union(options.records, METHODS)


def _readme(options: argparse.Namespace) -> None:
    # Imported here: it imports torch, which --help and collect do without.
    from analysis.tables import methods as methods_table
    from pipeline.present import method_cards
    from sparse_methods.methods import METHODS

    studies = [(folder.name, _load([folder], options).current) for folder in options.records]
    methods = methods_table.markdown(method_cards(METHODS), references.load())
    text = options.readme.read_text(encoding="utf-8")
    text = readme.replaced(text, readme.METHODS, methods)
    text = readme.replaced(text, readme.RESULTS, readme.results(studies))
    held_against = records.union(options.claims, METHODS)
    text = readme.replaced(text, readme.CLAIMS, readme.claims_block(held_against, _measured(options)))
    audit = pd.read_csv(options.audit, dtype="str", keep_default_na=False)
    text = readme.replaced(text, readme.AUDIT, readme.audit_block(audit))
    options.readme.write_text(text, encoding="utf-8")


def _collect(options: argparse.Namespace) -> None:
    records.collect(options.records, options.out, _runs(options))


def _costs(options: argparse.Namespace) -> None:
    # Imported here: they import torch and matplotlib, which --help and collect do without.
    from analysis import costs, style
    from analysis.figures import fig12, training_cost
    from analysis.tables import costs as costs_table

    frame, out = costs.frame(options.model), options.out
    title = f"What sparsity costs, {options.model}"
    out.mkdir(parents=True, exist_ok=True)
    frame.to_csv(out / "costs.csv", index=False, lineterminator="\n")
    (out / "costs.md").write_text(costs_table.markdown(frame, title), encoding="utf-8")
    (out / "costs.html").write_text(costs_table.html(frame, title), encoding="utf-8")
    figures = {"training_cost": training_cost.draw(frame), "layer_sparsity": fig12.draw(options.model)}
    for name, (figure, data) in figures.items():
        style.save(figure, out / name, data)


def _landscape(options: argparse.Namespace) -> None:
    # Imported here: they import torch and matplotlib, which --help and collect do without.
    from analysis import style
    from analysis.figures import landscape as figures
    from analysis.landscape import claims, results
    from analysis.tables import landscape
    from sparse_methods.methods import METHODS

    measured, out = results.load(options.measured, METHODS), options.out
    for name, (figure, data) in figures.draw(measured).items():
        style.save(figure, out / name, data)
    found, title = claims.findings(measured), f"Loss landscape of study {options.study}"
    claims.table(found).to_csv(out / "claims.csv", index=False, lineterminator="\n")
    (out / "landscape.html").write_text(landscape.html(measured, found, title, out), encoding="utf-8")
    (out / "landscape.md").write_text(landscape.markdown(measured, found, title, out), encoding="utf-8")


def _collect_landscape(options: argparse.Namespace) -> None:
    from analysis.landscape import documents

    documents.collect(options.measured, options.out)


def _audit(options: argparse.Namespace) -> None:
    # Imported here: it imports torch, which --help and collect do without.
    from analysis.audit import page as audit_page
    from analysis.audit import verdicts

    audit_page.write(verdicts.audit(), options.out)


def _load(folders: Sequence[Path], options: argparse.Namespace) -> records.Table:
    # Imported here: it imports torch, which --help and collect do without.
    from sparse_methods.methods import METHODS

    table = records.load(folders, METHODS, _runs(options))
    if len(table.apart):
        print(f"note: {_other_versions(table.apart)}", file=sys.stderr)
    return table


def _other_versions(apart: pd.DataFrame) -> str:
    versions = ", ".join(map(str, sorted(set(apart["comparability_version"]))))
    return f"{len(apart)} records of comparability version {versions} are kept apart; run them again to compare them"


def _runs(options: argparse.Namespace) -> list[str] | None:
    return None if options.runs is None else options.runs.read_text(encoding="utf-8").split()


if __name__ == "__main__":
    sys.exit(main())
