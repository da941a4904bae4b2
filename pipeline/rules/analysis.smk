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
        runs=[run.path for run in STUDY.runs],
    shell:
        "printf '%s\\n' {params.runs:q} > {output:q} 2> {log:q}"


rule study_of:
    input:
        records_of,
    output:
        report(
            "results/figures/{src}/{study}/accuracy.png",
            caption="../captions/accuracy.rst",
            category="Figures",
            labels={"study": "{study}", "figure": "accuracy against sparsity"},
        ),
        report(
            "results/figures/{src}/{study}/cost.png",
            caption="../captions/cost.rst",
            category="Figures",
            labels={"study": "{study}", "figure": "accuracy against training FLOPs"},
        ),
        report(
            "results/tables/{src}/{study}/main.html",
            caption="../captions/table.rst",
            category="Tables",
            labels={"study": "{study}", "table": "accuracy by method and sparsity"},
        ),
        multiext("results/figures/{src}/{study}/accuracy", ".pdf", ".csv"),
        multiext("results/figures/{src}/{study}/cost", ".pdf", ".csv"),
        multiext("results/tables/{src}/{study}/main", ".csv", ".md", ".tex"),
        multiext("results/tables/{src}/{study}/claims", ".csv", ".md"),
    log:
        "results/logs/study/{src}-{study}.log",
    conda:
        "../../environment.yml"
    params:
        source=source_options,
        code=ANALYSIS_CODE,
        figures=subpath(output[0], parent=True),
        tables=subpath(output[2], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build study {params.source:q} --study {wildcards.study:q}"
        " --figures {params.figures:q} --tables {params.tables:q} > {log:q} 2>&1"
