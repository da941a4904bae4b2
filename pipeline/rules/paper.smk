# The paper again: its figures and tables, reported beside reproduced, its claims with their verdicts, and the leaderboard.
# `reference` takes the committed records of all studies together, `runs` those of the loaded study on this machine.
from snakemake.io import report as in_report

PAPER_FIGURES = {
    "fig2_top_right": "Figure 2 top right: accuracy by training length",
    "fig2_bottom_right": "Figure 2 bottom right: RigL by sparsity and length",
    "fig3_left": "Figure 3 left: MobileNet-v1",
    "fig4_left": "Figure 4 left: characters of WikiText-103",
    "fig4_right": "Figure 4 right: WRN-22-2 on CIFAR-10",
    "fig5_left": "Figure 5 left: distributions",
    "fig5_right": "Figure 5 right: update interval and drop fraction",
    "fig8_left": "Figure 8 left: distributions, by method",
    "fig8_right": "Figure 8 right: SNFS's momentum",
    "fig9": "Figure 9: interval and drop fraction of SET and SNFS",
    "fig10": "Figure 10: decay of the drop fraction",
    "fig11": "Figure 11: training loss, and the interval",
    "fig12": "Figure 12: sparsity of each layer, ERK ResNet-50",
}
PAPER_TABLES = {
    "fig2_left": "Figure 2 left: ResNet-50 on ImageNet",
    "fig3_right": "Figure 3 right: MobileNet-v1",
    "table2": "Table 2: compression on MNIST",
    "table3": "Table 3: lottery tickets",
    "table4": "Table 4: higher sparsities",
}
PAPER = "results/paper/{src}"

PAPER_FILES = [
    *[
        in_report(
            f"{PAPER}/figures/{name}.png",
            caption="../captions/paper_figure.rst",
            category="The paper's figures",
            labels={"records": "{src}", "figure": title},
        )
        for name, title in PAPER_FIGURES.items()
    ],
    *[
        in_report(
            f"{PAPER}/tables/{name}.html",
            caption="../captions/paper_table.rst",
            category="The paper's tables",
            labels={"records": "{src}", "table": title},
        )
        for name, title in PAPER_TABLES.items()
    ],
    *[
        f"{PAPER}/figures/{name}.{form}"
        for name in PAPER_FIGURES
        for form in ("pdf", "csv", "txt")
    ],
    *[
        f"{PAPER}/tables/{name}.{form}"
        for name in PAPER_TABLES
        for form in ("md", "csv", "tex")
    ],
]


rule paper_of:
    input:
        studies_of,
        "analysis/published/published.csv",
        "analysis/published/names.yaml",
        "analysis/published/errata.yaml",
        "analysis/audit/rules.yaml",
    output:
        PAPER_FILES,
    log:
        "results/logs/paper/{src}.log",
    # The longest of what records are made into: last, it would keep one core waiting.
    priority: 1
    conda:
        "../../environment.yml"
    params:
        source=all_options,
        code=COST_CODE,
        figures=f"{PAPER}/figures",
        tables=f"{PAPER}/tables",
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build paper {params.source:q}"
        " --figures {params.figures:q} --tables {params.tables:q} > {log:q} 2>&1"


CLAIMS_FILES = [
    in_report(
        "results/claims/{src}/claims.html",
        caption="../captions/claims.rst",
        category="Claims",
        labels={"records": "{src}", "page": "statements and verdicts"},
    ),
    *multiext("results/claims/{src}/claims", ".csv", ".json", ".md"),
]


rule claims_of:
    input:
        studies_of,
        landscapes_of,
        "analysis/claims.yaml",
    output:
        CLAIMS_FILES,
    log:
        "results/logs/claims/{src}.log",
    conda:
        "../../environment.yml"
    params:
        source=all_options,
        measured=landscape_options,
        code=COST_CODE,
        out=subpath(output[0], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build claims {params.source:q} {params.measured:q}"
        " --out {params.out:q} > {log:q} 2>&1"


LEADERBOARD_FILES = [
    in_report(
        "results/leaderboard/{src}/embedded.html",
        caption="../captions/leaderboard.rst",
        category="Leaderboard",
        labels={"records": "{src}", "page": "leaderboard"},
    ),
    "results/leaderboard/{src}/index.html",
    *multiext("results/leaderboard/{src}/leaderboard", ".csv", ".json"),
]


rule leaderboard_of:
    input:
        studies_of,
        SUBMISSIONS,
        "analysis/published/published.csv",
        "analysis/published/names.yaml",
        "analysis/published/errata.yaml",
        "CITATION.cff",
    output:
        LEADERBOARD_FILES,
    log:
        "results/logs/leaderboard/{src}.log",
    conda:
        "../../environment.yml"
    params:
        source=all_options,
        submissions="results/submissions",
        code=COST_CODE,
        out=subpath(output[0], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m analysis.build leaderboard {params.source:q} --submissions {params.submissions:q}"
        " --out {params.out:q} > {log:q} 2>&1"


# What `make bench` measured, as it was accepted last: time is not measured by a workflow that fills the machine.
rule benchmarks_of:
    input:
        results="results/reference/benchmarks.json",
        targets="benchmarks/targets.yaml",
    output:
        report(
            "results/benchmarks/reference/benchmarks.html",
            caption="../captions/benchmarks.rst",
            category="Cost",
            labels={"page": "what it costs in time"},
        ),
        multiext(
            "results/benchmarks/reference/benchmarks",
            ".json",
            ".md",
            ".png",
            ".pdf",
            ".csv",
        ),
    log:
        "results/logs/benchmarks.log",
    conda:
        "../../environment.yml"
    params:
        code=[ANALYSIS_CODE, tree_digest(Path("benchmarks"))],
        out=subpath(output[0], parent=True),
    shell:
        "OMP_NUM_THREADS={threads} python -m benchmarks.page --results {input.results:q} --out {params.out:q} > {log:q} 2>&1"
