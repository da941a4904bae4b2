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


rule all:
    default_target: True
    input:
        products("figures", "runs", STUDY.name),
        products("tables", "runs", STUDY.name),
        products("leaderboard", "runs", STUDY.name),
        products("landscape", "runs", STUDY.name) if STUDY.landscape else [],
        rules.audit.output,
        rules.costs.output,


rule train:
    input:
        [record_of(run) for run in STUDY.runs],


# From the committed records, without training anything.
rule figures:
    input:
        [products("figures", "reference", study) for study in REFERENCES],
        [products("landscape", "reference", study) for study in MEASURED_REFERENCES],


rule tables:
    input:
        [products("tables", "reference", study) for study in REFERENCES],


rule leaderboard:
    input:
        [products("leaderboard", "reference", study) for study in REFERENCES],


# From the final weights of the loaded study's runs: what is measured of its loss landscape, and the pages of it.
rule landscape:
    input:
        products("landscape", "runs", STUDY.name) if STUDY.landscape else [],


# What sparsity costs, and the audit of the published costs: from the code, without any record.
rule flops:
    input:
        rules.audit.output,
        rules.costs.output,
