# The loss landscape: one job for each measurement that the study asks for, from the final weights of its runs.
LANDSCAPE_CODE = [tree_digest(Path(folder)) for folder in ("analysis/landscape", "pipeline/models")]


def measured(study):
    return [f"results/landscape/{study}/{job.name}.json" for job in STUDY.landscape_jobs()]


for job in STUDY.landscape_jobs():

    rule:
        name:
            f"landscape_{job.name}"
        input:
            data=[CACHES[name] for name in sorted({run.dataset for run in job.runs})],
            runs=[record_of(run) for run in job.runs],
        output:
            f"results/landscape/{STUDY.name}/{job.name}.json",
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
