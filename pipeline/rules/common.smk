# What the rules share: the study, this machine's settings, and the names of files.
import os
import sys
import time
from pathlib import Path

from snakemake.io import report as in_report

from pipeline.lease import visible_gpus
from pipeline.provenance import source_digest, tree_digest
from pipeline.record import COMPARABILITY_VERSION, SCHEMA_VERSION
from pipeline.study import load_study
from pipeline.yaml_source import StudyError

# Shell rules say `python` and mean the one that runs this workflow, whether or not its environment is activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

try:
    # Not `configfile:`, which would merge another study into the default one, key by key.
    STUDY_FILE = str(workflow.configfiles[-1]) if workflow.configfiles else "quick"
    STUDY = load_study(STUDY_FILE)
except StudyError as error:
    # Not a WorkflowError: it would end with code 1 and a trace into this file, which is not where the mistake is.
    print(error, file=sys.stderr)
    sys.exit(2)

DATA_ROOT = ["--data-root", str(config["data_root"])] if "data_root" in config else []
DEVICE = config.get("device", "auto")
GPU_SLOTS = int(config.get("gpu_slots", 1))
GPUS_A_RUN = 1 if visible_gpus() and DEVICE != "cpu" else 0
# Without a limit, `resources: gpu` binds nothing. A limit from the command line or a profile goes first.
if GPUS_A_RUN and "gpu" not in workflow.global_resources:
    workflow.global_resources["gpu"] = len(visible_gpus()) * GPU_SLOTS
# How a job trains on this machine. The attempts are the retries of profiles/default, plus one.
WORKER_OPTIONS = f"--device {DEVICE} --gpu-slots {GPU_SLOTS} --attempts 2"
# Shell commands do not show Snakemake the code behind them; these digests, as params, do. Comments do not count.
ANALYSIS_CODE = tree_digest(Path("analysis"))
COST_CODE = [
    tree_digest(Path(tree)) for tree in ("analysis", "pipeline", "sparse_methods")
]
# Records of other versions are kept apart, so raising one asks for all runs anew.
VERSIONS = [SCHEMA_VERSION, COMPARABILITY_VERSION]
SOURCES = ["reference", "runs"]
REFERENCES = sorted(
    path.parent.name for path in Path("results/reference").glob("*/records.jsonl")
)
MEASURED_REFERENCES = sorted(
    path.parent.name for path in Path("results/reference").glob("*/landscape.jsonl")
)
STUDY_PAGES = {
    "results/figures/{src}/{study}/accuracy.png": (
        "Figures",
        "accuracy against sparsity",
    ),
    "results/figures/{src}/{study}/cost.png": (
        "Figures",
        "accuracy against training FLOPs",
    ),
    "results/tables/{src}/{study}/main.html": (
        "Tables",
        "accuracy by method and sparsity",
    ),
}
STUDY_FILES = [
    *multiext("results/figures/{src}/{study}/accuracy", ".pdf", ".csv"),
    *multiext("results/figures/{src}/{study}/cost", ".pdf", ".csv"),
    *multiext("results/tables/{src}/{study}/main", ".csv", ".md", ".tex"),
    *multiext("results/tables/{src}/{study}/claims", ".csv", ".md"),
]
LANDSCAPE_PAGES = ["landscape.html", "landscape.md", "claims.csv"]
SUBMISSIONS = [
    str(path)
    for name in ("card.yaml", "records.jsonl")
    for path in sorted(Path("results/submissions").glob(f"*/{name}"))
]

MEASURED = {
    job.name: f"results/landscape/measured/{STUDY.name}/{job.name}.json"
    for job in STUDY.landscape_jobs()
}


wildcard_constraints:
    src="reference|runs",
    study="[^/]+",
    dataset="[^/]+",


def record_of(run):
    return f"results/runs/{run.path}/record.json"


def study_pages(src, study):
    """What is made of one study's records, as outputs of a rule."""
    pages = [
        in_report(
            path.format(src=src, study=study),
            caption=f"../captions/{Path(path).stem}.rst",
            category=category,
            labels={"study": study, category.lower().removesuffix("s"): title},
        )
        for path, (category, title) in STUDY_PAGES.items()
    ]
    return [*pages, *(path.format(src=src, study=study) for path in STUDY_FILES)]


def landscape_pages(src, study):
    return [f"results/landscape/{src}/{study}/{name}" for name in LANDSCAPE_PAGES]


def studies_of(wildcards):
    if wildcards.src == "reference":
        return [f"results/reference/{study}/records.jsonl" for study in REFERENCES]
    return [f"results/plans/{STUDY.name}.txt", *[record_of(run) for run in STUDY.runs]]


def all_options(wildcards):
    if wildcards.src == "reference":
        return [
            word
            for study in REFERENCES
            for word in ("--records", f"results/reference/{study}")
        ]
    return ["--records", "results/runs", "--runs", f"results/plans/{STUDY.name}.txt"]


def landscapes_of(wildcards):
    if wildcards.src == "reference":
        return [
            f"results/reference/{study}/landscape.jsonl"
            for study in MEASURED_REFERENCES
        ]
    return list(MEASURED.values())


def landscape_options(wildcards):
    if wildcards.src == "reference":
        return [
            word
            for study in MEASURED_REFERENCES
            for word in ("--measured", f"results/reference/{study}/landscape.jsonl")
        ]
    return (
        ["--measured", f"results/landscape/measured/{STUDY.name}"] if MEASURED else []
    )


def measured_of(wildcards):
    if wildcards.src == "reference":
        return f"results/reference/{wildcards.study}/landscape.jsonl"
    if wildcards.study != STUDY.name:
        raise WorkflowError(
            f"study {wildcards.study!r} is not the loaded one: add --configfile pipeline/studies/{wildcards.study}.yaml"
        )
    return list(MEASURED.values())


def measured_options(wildcards):
    if wildcards.src == "reference":
        return f"results/reference/{wildcards.study}/landscape.jsonl"
    return f"results/landscape/measured/{wildcards.study}"
