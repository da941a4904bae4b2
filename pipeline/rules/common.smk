# What the rules share: the study, this machine's settings, and the names of files.
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from snakemake.io import report as in_report

from pipeline.job_table import read_study
from pipeline.lease import require_a_gpu_each, visible_gpus
from pipeline.record import COMPARABILITY_VERSION, SCHEMA_VERSION
from pipeline.source_code import tree_digest
from pipeline.yaml_source import StudyError

# Shell rules say `python` and mean the one that runs this workflow, whether or not its environment is activated.
os.environ.update(
    PATH=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
)

# Not `configfile:`, which would merge another study into the default one, key by key.
STUDY_FILE = str(workflow.configfiles[-1]) if workflow.configfiles else "quick"
try:
    with ThreadPoolExecutor(1) as beside:
        loading = beside.submit(read_study, STUDY_FILE)
        # Shell commands do not show Snakemake the code behind them; these digests, as params, do. Comments do not count.
        ANALYSIS_CODE = tree_digest(Path("analysis"))
        COST_CODE = [
            ANALYSIS_CODE,
            *(tree_digest(Path(tree)) for tree in ("pipeline", "sparse_methods")),
        ]
        STUDY = loading.result()
except StudyError as error:
    # Not a WorkflowError: it would end with code 1 and a trace into this file, which is not where the mistake is.
    print(error, file=sys.stderr)
    sys.exit(2)

DATA_ROOT = ["--data-root", str(config["data_root"])] if "data_root" in config else []
DEVICE = config.get("device", "auto")
GPU_SLOTS = int(config.get("gpu_slots", 1))
# Processes that share each run, a GPU each where there are GPUs, and CPU threads of each process.
PROCESSES, THREADS = int(config.get("processes", 1)), int(config.get("threads", 1))
# How often a run may fail, by an error or by being killed, before its failure is its record.
ATTEMPTS = int(config.get("attempts", 2))
# Where torchrun starts the processes, they inherit no third file to show their progress in: it is in the log.
WORKER_OPTIONS = (
    f"--device {DEVICE} --gpu-slots {GPU_SLOTS} --attempts {ATTEMPTS} --threads {THREADS}"
    f" --checkpoint-seconds {float(config.get('checkpoint_seconds', 30))} --progress-fd {3 if PROCESSES == 1 else 1}"
    f"{' --cuda-graph' if config.get('cuda_graph') else ''}"
)
LAUNCHER = f"env OMP_NUM_THREADS={THREADS} python" + (
    f" -m torch.distributed.run --standalone --nproc-per-node {PROCESSES}"
    if PROCESSES > 1
    else ""
)
# Records of other versions are kept apart, so raising one asks for all runs anew.
VERSIONS = [SCHEMA_VERSION, COMPARABILITY_VERSION]
TRAINED = f"results/plans/{STUDY.name}.trained"
JOB_OF = {run: job for job in STUDY.jobs for run in job.runs}
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
    for job in STUDY.measurements
}


wildcard_constraints:
    src="reference|runs",
    study="[^/]+",
    dataset="[^/]+",


# On a cluster, what is neither training nor measuring stays where `snakemake` runs: seconds of work each.
localrules:
    run_list,
    trained,
    study_of_runs,
    studies_of_reference,
    paper_of,
    claims_of,
    leaderboard_of,
    landscape_of,
    benchmarks_of,
    audit,
    costs,


def gpus_of_a_run():
    """GPUs that a run asks for; None asks for nothing, where 0 would still be a request to Kubernetes."""
    # The profile of a cluster brings default resources, which are handed on to the Snakemake that a job starts. The host
    # that submits may have no GPU at all, or others.
    defaults = workflow.resource_settings.default_resources
    if defaults is not None:
        return defaults.get("gpu").value
    gpus = len(visible_gpus()) if DEVICE != "cpu" else 0
    try:
        require_a_gpu_each(PROCESSES, gpus, GPU_SLOTS)
    except ValueError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    return PROCESSES if gpus else 0


def limit_gpus():
    """Hold back runs that no GPU of this machine is free for: without a limit, `resources: gpu` binds nothing."""
    if workflow.resource_settings.default_resources is None and GPUS_A_RUN:
        # A limit from the command line or a profile goes first.
        workflow.global_resources.setdefault("gpu", len(visible_gpus()) * GPU_SLOTS)


GPUS_A_RUN = gpus_of_a_run()
limit_gpus()


def record_of(run):
    return f"results/runs/{run}/record.json"


def cleared_records():
    """Records that are gone, of jobs that were done: what was made of them would not ask for them again."""
    once_all = Path(TRAINED).exists()
    return [
        record_of(run)
        for job in STUDY.jobs
        if once_all or Path(record_of(job.runs[0])).exists()
        for run in job.runs
        if not Path(record_of(run)).exists()
    ]


def retries_of(runs):
    """How often a job of so many runs is called again."""
    if not workflow.is_main_process:
        # Started by a job on a cluster with --retries 0, which `retries` of a rule would go before.
        return 0
    # One more than there are attempts: it records what was killed in the last of them, and so could not record that itself.
    # With several processes a failure that was recorded ends them, and the next call goes on with the runs behind it.
    return ATTEMPTS + (runs - 1 if PROCESSES > 1 else 0)


def caches_of(job):
    return [STUDY.caches[name] for name in job.datasets]


# Not ancient: new data starts a job, which puts back every record that was made from the same content.
def needs_of(job):
    return [*caches_of(job), *map(record_of, job.parents)]


# What trains a job anew when it changes, besides its runs, whose names its records have.
def identity_of(job):
    return [*job.snapshots, *job.sources, *VERSIONS]


def job_of(wildcards):
    if wildcards.run not in JOB_OF:
        raise WorkflowError(
            f"{STUDY.name} has no run {wildcards.run!r}: see `rigl-bench runs {STUDY_FILE}`"
        )
    return JOB_OF[wildcards.run]


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


def made_of(files, *sources):
    """The files that are made of these records. Not expand(), which takes no file that is meant for the report, nor
    rules.NAME.output where a profile gives files a storage provider."""
    return [str(file).format(src=src) for src in sources for file in files]


def landscape_pages(src, study):
    return [f"results/landscape/{src}/{study}/{name}" for name in LANDSCAPE_PAGES]


def studies_of(wildcards):
    if wildcards.src == "reference":
        return [f"results/reference/{study}/records.jsonl" for study in REFERENCES]
    return [f"results/plans/{STUDY.name}.txt", TRAINED]


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
