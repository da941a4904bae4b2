# From the study to records: data caches, and one job for each batch of runs.
from pipeline.data.sources import cache_path

CACHES = {name: str(cache_path(name, Path("results/cache"))) for name in STUDY.datasets}

# Progress lines of every job tell the whole study's share, and the time left from what was done since now.
os.environ.setdefault("RIGL_BENCH_STARTED", str(time.time()))


for dataset, cache in CACHES.items():

    rule:
        name:
            f"data_{Path(cache).stem}"
        output:
            cache,
        log:
            f"results/logs/data/{Path(cache).stem}.log",
        conda:
            "../../environment.yml"
        params:
            dataset=dataset,
            root=DATA_ROOT,
        shell:
            "python -m pipeline.cli data {params.dataset:q} {params.root:q} > {log:q} 2>&1"


for job in STUDY.jobs():

    rule:
        name:
            f"train_{job.name}"
        input:
            # Not ancient: new data starts the job, which puts back every record that was made from the same content.
            data=[CACHES[name] for name in sorted({run.dataset for run in job.runs})],
            parents=[record_of(run) for run in job.parents],
        output:
            [record_of(run) for run in job.runs],
        log:
            f"results/logs/{STUDY.name}/{job.name}.log",
        benchmark:
            f"results/logs/{STUDY.name}/{job.name}.benchmark.tsv"
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=GPUS_A_RUN,
            attempt=lambda wildcards, attempt: attempt,
        params:
            study=STUDY_FILE,
            job=job.name,
            runs=[run.path for run in job.runs],
            snapshots=[step for run in job.runs for step in run.snapshots],
            sources=sorted({source_digest(run) for run in job.runs}),
            versions=VERSIONS,
            options=WORKER_OPTIONS,
        shell:
            "OMP_NUM_THREADS={threads} exec python -m pipeline.worker --study {params.study:q} --job {params.job}"
            " {params.options} --threads {threads} --attempt {resources.attempt} --progress-fd 3 3>&2 > {log:q} 2>&1"
