# What sparsity costs, and the published record recomputed: from code and analysis/published alone, no records, no training.
FLOPS = "results/flops"


rule audit:
    input:
        "analysis/published/published.csv",
        "analysis/published/names.yaml",
        "analysis/audit/rules.yaml",
    output:
        report(
            f"{FLOPS}/audit.html",
            caption="../captions/audit.rst",
            category="Cost",
            labels={"page": "audit of the published costs"},
        ),
        report(
            f"{FLOPS}/errata.html",
            caption="../captions/audit.rst",
            category="Cost",
            labels={"page": "errata of the published costs"},
        ),
        multiext(f"{FLOPS}/audit", ".csv", ".md"),
        f"{FLOPS}/errata.md",
    log:
        "results/logs/flops/audit.log",
    conda:
        "../../environment.yml"
    params:
        code=COST_CODE,
        out=subpath(output[0], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build audit --out {params.out:q} > {log:q} 2>&1"


rule costs:
    output:
        report(
            f"{FLOPS}/costs.html",
            caption="../captions/costs.rst",
            category="Cost",
            labels={"page": "costs by method, distribution and sparsity"},
        ),
        report(
            f"{FLOPS}/training_cost.png",
            caption="../captions/training_cost.rst",
            category="Cost",
            labels={"page": "training FLOPs against sparsity"},
        ),
        report(
            f"{FLOPS}/layer_sparsity.png",
            caption="../captions/layer_sparsity.rst",
            category="Cost",
            labels={"page": "sparsity and FLOPs of each layer"},
        ),
        multiext(f"{FLOPS}/costs", ".csv", ".md"),
        multiext(f"{FLOPS}/training_cost", ".pdf", ".csv"),
        multiext(f"{FLOPS}/layer_sparsity", ".pdf", ".csv"),
    log:
        "results/logs/flops/costs.log",
    conda:
        "../../environment.yml"
    params:
        code=COST_CODE,
        out=subpath(output[0], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build costs --out {params.out:q} > {log:q} 2>&1"
