# From the study to records: data caches, and one job for each batch of runs.

# Progress lines of every job tell the whole study's share, and the time left from what was done since now.
os.environ.setdefault("RIGL_BENCH_STARTED", str(time.time()))


for dataset, cache in STUDY.caches.items():

    rule:
        name:
            f"data_{Path(cache).stem}"
        output:
            cache,
        log:
            f"results/logs/data/{Path(cache).stem}.log",
        # Nodes of a cluster often cannot reach what data is fetched from.
        localrule: True
        conda:
            "../../environment.yml"
        params:
            dataset=dataset,
            root=DATA_ROOT,
        shell:
            "python -m pipeline.cli data {params.dataset:q} {params.root:q} > {log:q} 2>&1"


# Neither launcher nor options are params: that a run goes to another machine asks for no rerun.
TRAINING = dict(
    gpu=GPUS_A_RUN,
    launcher=LAUNCHER,
    attempt=lambda wildcards, attempt: attempt,
    options=WORKER_OPTIONS,
)
TRAIN = (
    "exec {resources.launcher} -m pipeline.worker --study {params.study:q} --job {params.job}"
    " {resources.options} --attempt {resources.attempt} 3>&2 > {log:q} 2>&1"
)

# Snakemake takes time and memory that grow with the square of the number of rules, and ten thousand jobs of one run each are
# one rule with a wildcard. Records of a job of several runs have no more in common than a list, so such a job is a rule.
if all(len(job.runs) == 1 for job in STUDY.jobs):

    rule train_run:
        input:
            lambda wildcards: needs_of(job_of(wildcards)),
        output:
            record_of("{run}"),
        log:
            f"results/logs/{STUDY.name}/{{run}}.log",
        benchmark:
            f"results/logs/{STUDY.name}/{{run}}.benchmark.tsv"
        retries: retries_of(1)
        conda:
            "../../environment.yml"
        threads: PROCESSES * THREADS
        resources:
            **TRAINING,
        params:
            study=STUDY_FILE,
            job=lambda wildcards: job_of(wildcards).name,
            identity=lambda wildcards: identity_of(job_of(wildcards)),
        shell:
            TRAIN

    FIRST_RECORDS = [record_of(run) for run in STUDY.runs]

else:
    for job in STUDY.jobs:

        rule:
            name:
                f"train_{job.name}"
            input:
                needs_of(job),
            output:
                [record_of(run) for run in job.runs],
            log:
                f"results/logs/{STUDY.name}/{job.name}.log",
            benchmark:
                f"results/logs/{STUDY.name}/{job.name}.benchmark.tsv"
            retries: retries_of(len(job.runs))
            conda:
                "../../environment.yml"
            threads: PROCESSES * THREADS
            resources:
                **TRAINING,
            params:
                study=STUDY_FILE,
                job=job.name,
                identity=identity_of(job),
            shell:
                TRAIN

    # With the first record of a job come all others of it. As outputs of their rules: a path alone would be looked up among those
    # of all rules, and matched as a pattern.
    FIRST_RECORDS = [
        getattr(rules, f"train_{job.name}").output[0] for job in STUDY.jobs
    ]
