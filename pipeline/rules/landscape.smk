# The loss landscape: one job for each measurement that the study asks for, from the final weights of its runs.
from snakemake.io import report as in_report

LANDSCAPE_FIGURES = {
    "fig6_left": "curves between solutions (Figure 6, left)",
    "fig6_right": "going on from a static solution (Figure 6, right)",
    "barriers": "barriers of all pairs",
    "budgets": "barriers by how long curves were trained",
    "loss_plane": "map through three solutions",
    "loss_surface": "the same map as a surface",
    "loss_around": "maps around each solution",
    "curvature": "curvature",
    "appendix_a": "what opening weights reveals (Appendix A)",
    "topology": "overlap, exploration and churn of masks",
    "input_pixels": "which pixels are read",
}
# As a list, because a rule's own syntax takes no comprehension of report().
REPORTED = [
    in_report(
        f"results/landscape/{{src}}/{{study}}/{file}",
        caption="../captions/landscape.rst",
        category="Landscape",
        labels={"study": "{study}", "page": label},
    )
    for file, label in [
        ("landscape.html", "barriers and claims of section 4.5"),
        *[(f"{name}.png", label) for name, label in LANDSCAPE_FIGURES.items()],
    ]
]
# What reads measurements does not count: an edit of a claim measures nothing anew.
LANDSCAPE_CODE = [
    tree_digest(Path("analysis/landscape"), without={"results.py", "claims.py"}),
    tree_digest(Path("pipeline/models")),
]


for job in STUDY.measurements:

    rule:
        name:
            f"landscape_{job.name}"
        input:
            data=caches_of(job),
            runs=[record_of(run) for run in job.runs],
        output:
            MEASURED[job.name],
        log:
            f"results/logs/{STUDY.name}/landscape-{job.name}.log",
        conda:
            "../../environment.yml"
        threads: 1
        resources:
            gpu=GPUS_A_RUN and 1,  # one process, whatever trains a run
        params:
            study=STUDY_FILE,
            job=job.name,
            runs=list(job.runs),
            snapshots=list(job.snapshots),
            settings=STUDY.landscape,
            code=LANDSCAPE_CODE,
            device=DEVICE,
        shell:
            "OMP_NUM_THREADS={threads} python -m analysis.landscape --study {params.study:q} --job {params.job:q}"
            " --out {output:q} --device {params.device} --threads {threads} > {log:q} 2>&1"


rule landscape_of:
    input:
        measured_of,
    output:
        REPORTED,
        [
            f"results/landscape/{{src}}/{{study}}/{figure}.{form}"
            for figure in LANDSCAPE_FIGURES
            for form in ("pdf", "csv")
        ],
        "results/landscape/{src}/{study}/landscape.md",
        "results/landscape/{src}/{study}/claims.csv",
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
