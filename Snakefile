# The whole suite, from a study to the report. `snakemake --cores all` runs pipeline/studies/quick.yaml; another study:
# `snakemake --configfile pipeline/studies/mnist.yaml`. Settings of this machine: --config data_root=FOLDER device=cpu.
from snakemake.utils import min_version

min_version("9.20")


report: "pipeline/captions/workflow.rst"


include: "pipeline/rules/common.smk"
include: "pipeline/rules/train.smk"
include: "pipeline/rules/analysis.smk"
include: "pipeline/rules/flops.smk"
include: "pipeline/rules/landscape.smk"
include: "pipeline/rules/paper.smk"


rule all:
    default_target: True
    input:
        cleared_records(),
        rules.study_of_runs.output,
        landscape_pages("runs", STUDY.name) if STUDY.landscape else [],
        made_of(LEADERBOARD_FILES, *SOURCES),
        made_of(CLAIMS_FILES, *SOURCES),
        made_of(PAPER_FILES, "reference"),
        rules.audit.output,
        rules.costs.output,
        rules.benchmarks_of.output,


rule train:
    input:
        FIRST_RECORDS,
        cleared_records(),


# From the committed records, without training anything.
rule figures:
    input:
        rules.studies_of_reference.output,
        [landscape_pages("reference", study) for study in MEASURED_REFERENCES],
        made_of(PAPER_FILES, "reference"),


rule tables:
    input:
        rules.studies_of_reference.output,
        made_of(PAPER_FILES, "reference"),


rule leaderboard:
    input:
        made_of(LEADERBOARD_FILES, "reference"),


rule claims:
    input:
        made_of(CLAIMS_FILES, "reference"),


# From the final weights of the loaded study's runs: what is measured of its loss landscape, and the pages of it.
rule landscape:
    input:
        landscape_pages("runs", STUDY.name) if STUDY.landscape else [],


# What sparsity costs, and the audit of the published costs: from the code, without any record.
rule flops:
    input:
        rules.audit.output,
        rules.costs.output,
