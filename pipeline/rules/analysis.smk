# From the records of one study to its figures and its table. `reference` records are committed and made by no rule, so that
# everything here rebuilds on a fresh clone without training; `runs` are this machine's own.
rule run_list:
    output:
        "results/plans/{study}.txt",
    log:
        "results/logs/plan/{study}.log",
    conda:
        "../../environment.yml"
    params:
        runs=list(STUDY.runs),
    shell:
        "printf '%s\\n' {params.runs:q} > {output:q} 2> {log:q}"


# Every page is made from all records of the study: an edge from each job to this file, and from it one to each page. It never
# says the same twice, since Snakemake takes a file of equal content for an unchanged one.
rule trained:
    input:
        FIRST_RECORDS,
    output:
        TRAINED,
    log:
        f"results/logs/plan/{STUDY.name}.trained.log",
    conda:
        "../../environment.yml"
    shell:
        "python -c 'import time; print(time.time_ns())' > {output:q} 2> {log:q}"


rule study_of_runs:
    input:
        plan=f"results/plans/{STUDY.name}.txt",
        trained=TRAINED,
    output:
        *study_pages("runs", STUDY.name),
    log:
        f"results/logs/study/runs-{STUDY.name}.log",
    conda:
        "../../environment.yml"
    params:
        study=STUDY.name,
        code=ANALYSIS_CODE,
        figures=subpath(output[0], parent=True),
        tables=subpath(output[2], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build study --records results/runs --runs {input.plan:q}"
        " --study {params.study:q} --figures {params.figures:q} --tables {params.tables:q} > {log:q} 2>&1"


# All in one process: half of what a study's pages take is the start.
rule studies_of_reference:
    input:
        [f"results/reference/{study}/records.jsonl" for study in REFERENCES],
    output:
        *[page for study in REFERENCES for page in study_pages("reference", study)],
    log:
        "results/logs/study/reference.log",
    # Long; last, it would keep one core waiting.
    priority: 1
    conda:
        "../../environment.yml"
    params:
        source=[
            word
            for study in REFERENCES
            for word in ("--records", f"results/reference/{study}")
        ],
        code=ANALYSIS_CODE,
        figures=subpath(output[0], ancestor=2),
        tables=subpath(output[2], ancestor=2),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build studies {params.source:q}"
        " --figures {params.figures:q} --tables {params.tables:q} > {log:q} 2>&1"
