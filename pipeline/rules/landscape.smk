# The loss landscape: one job for each measurement that the study asks for, from the final weights of its runs.
LANDSCAPE_CODE = [tree_digest(Path(folder)) for folder in ("analysis/landscape", "pipeline/models")]


MEASURED = {
    job.name: f"results/landscape/measured/{STUDY.name}/{job.name}.json"
    for job in STUDY.landscape_jobs()
}


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


for job in STUDY.landscape_jobs()]


for job in STUDY.landscape_jobs():

    rule:
        name:
            f"landscape_{job.name}"
        input:
            data=[CACHES[name] for name in sorted({run.dataset for run in job.runs})],
            runs=[record_of(run) for run in job.runs],
        output:
            MEASURED[job.name],
        log:
            f"results/logs/{STUDY.name}/landscape-{job.name}.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=GPUS_A_RUN,
        params:
            study=STUDY_FILE,
            job=job.name,
            runs=[run.path for run in job.runs],
            snapshots=[step for run in job.runs for step in run.snapshots],
            settings=STUDY.landscape.model_dump_json(),
            code=LANDSCAPE_CODE,
            device=DEVICE,
        shell:
            "OMP_NUM_THREADS={threads} python -m analysis.landscape --study {params.study:q} --job {params.job:q}"
            " --out {output:q} --device {params.device} --threads {threads} > {log:q} 2>&1"


rule landscape_of:
    input:
        measured_of,
    output:
        report(
            "results/landscape/{src}/{study}/landscape.html",
            caption="../captions/landscape.rst",
            category="Landscape",
            labels={"study": "{study}", "page": "barriers and claims of section 4.5"},
        ),
        [
            report(
                f"results/landscape/{{src}}/{{study}}/{figure}.png",
                caption=f"../captions/{figure}.rst",
                category="Landscape",
                labels={"study": "{study}", "page": label},
            )
            for figure, label in LANDSCAPE_FIGURES.items()
        ],
        [
            f"results/landscape/{{src}}/{{study}}/{figure}.{form}"
            for figure in LANDSCAPE_FIGURES
            for form in ("pdf", "csv")
        ],
        "results/landscape/{src}/{study}/landscape.md",
    log:
        "results/logs/landscape/{src}-{study}.log",
    conda:
        "../../environment.yml"
    params:
        measured=measured_options,
        code=ANALYSIS_CODE,
        out="results/landscape/{src}/{study}",
    shell:
        "python -m analysis.build landscape --measured {params.measured:q} --study {wildcards.study:q}"
        " --out {params.out:q} > {log:q} 2>&1"
