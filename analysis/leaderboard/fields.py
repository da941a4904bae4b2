"""The fields of a row: what leaderboard.csv, leaderboard.json and the exports of the page hold, and what each means."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["text", "number", "count", "flag", "data"]


@dataclass(frozen=True)
class Field:
    """One field of every row."""

    name: str
    title: str
    """Its name for people, in the details of a row."""
    words: str
    """What it means, with its unit; part of leaderboard.json."""
    kind: Kind = "text"
    """A text is empty where there is none, all others are null; data is JSON: an object or a list."""


_ABOUT_IT = [
    Field("id", "Row", "name of the row within this leaderboard; #row=ID at the end of the page's address opens it"),
    Field(
        "kind",
        "Kind",
        "reported (by a publication), reproduced (by records of this suite), submitted (by a third party)",
    ),
    Field("method", "Method, by id", "id of the method in this suite; empty where it has no such method"),
    Field("label", "Method", "name of the method, as printed or as its file says it"),
    Field("series", "Series", "label, distribution and variant together, as figures name the line"),
    Field("family", "Family", "dense, one-shot, sparse-to-sparse or dense-to-sparse"),
    Field("citation", "Method's paper", "BibTeX key of the method's paper"),
    Field(
        "dense_parts", "Dense in training", "what is dense during training; empty where nothing is, or none is stated"
    ),
    Field("model", "Model, by id", "id of the model in this suite"),
    Field("model_words", "Model", "the model, with the options that make it another network"),
    Field("dataset", "Data set", "id of the data set"),
    Field("layout", "Layout", "which of the model's tables of layer rules applies"),
    Field(
        "distribution", "Distribution", "how the sparsity is shared among layers; empty where unknown or of no meaning"
    ),
    Field("variant", "Variant", "options and settings in which the row differs from its kin"),
    Field("options", "Options", "of the method, as recorded; empty where all are at their defaults"),
    Field("start", "Start", "what is taken from the run that its runs start from"),
    Field(
        "sparsity", "Sparsity", "share of weights asked to be zero, a fraction; null where it is an outcome", "number"
    ),
    Field("sparsity_is_outcome", "Sparsity is an outcome", "the method cannot be asked for a sparsity", "flag"),
    Field("achieved_sparsity", "Sparsity achieved", "over all layers, dense ones included, a fraction", "number"),
    Field(
        "missing_weights", "Missing weights", "share of the weights asked for that are not there at the end", "number"
    ),
    Field("free_layers", "Free layers", "why layers hold other numbers of weights than asked for"),
    Field("explored", "Explored", "share of the weights of masked layers that were ever active", "number"),
    Field("multiplier", "Length", "training length over the baseline's", "number"),
    Field("update_every", "Update interval", "steps between topology updates", "number"),
    Field("drop_fraction", "Drop fraction", "share of a layer's active weights that the first update drops", "number"),
    Field("decay", "Decay", "how the drop fraction decays"),
]
_QUALITY = [
    Field("metric", "Metric", "accuracy (a fraction, higher is better) or bits_per_character (lower is better)"),
    Field("mean", "Mean", "of the metric, on the test set at the last step, over the runs that are done", "number"),
    Field(
        "std", "Standard deviation", "as published, or over the seeds of records; null where there is none", "number"
    ),
    Field("low", "Interval from", "lower bound of the 95 % Student t interval over seeds", "number"),
    Field("high", "Interval to", "upper bound of it", "number"),
    Field("n", "n", "number of seeds that the mean is over; null where a publication does not state it", "count"),
    Field("diverged", "Diverged", "runs that diverged; they are in no mean", "count"),
    Field("skipped", "Skipped", "runs that were skipped", "count"),
    Field("failed", "Failed", "runs that failed", "count"),
    Field("reason", "Reason", "of skips and failures"),
]
_COST = [
    Field("train_x", "Training FLOPs", "over the dense network's, trained once; the method's closed form", "number"),
    Field("train_total_x", "Training FLOPs, summed", "the same, summed over the batches of the runs", "number"),
    Field("inference_x", "Inference FLOPs", "over the dense network's", "number"),
    Field(
        "size_bytes",
        "Size",
        "bytes by the authors' rule: 32 bits a non-zero weight, 1 a weight of sparse layers",
        "number",
    ),
    Field("file_bytes", "File", "bytes of the file that rigl-bench export writes", "number"),
    Field(
        "peak_parameter_bytes", "Peak parameters", "bytes of weights, gradients and state at the worst moment", "number"
    ),
    Field("train_seconds", "Training time", "seconds inside the training loop", "number"),
    Field("step_seconds", "Step", "seconds of a gradient step, its share of topology updates included", "number"),
    Field(
        "step_x",
        "Step, over dense",
        "over a step of the dense network on the same hardware, as measured in runs that may have shared the machine",
        "number",
    ),
    Field("execution", "Execution", "masked: dense tensors behind masks; sparse: active weights alone"),
    Field(
        "peak_memory_bytes", "Peak memory", "bytes, of the process (CPU) or of the device's allocator (CUDA)", "number"
    ),
]
_WHERE = [
    Field("source", "Source", "BibTeX key of the publication, name of the study, or name of the submission"),
    Field("cited", "Published by", "short form of the publication"),
    Field("place", "Place", "where in the publication the number stands"),
    Field("url", "Address", "of the publication"),
    Field("erratum", "Erratum", "why the printed number is suspect; empty where it is not"),
    Field("suspect", "Suspect fields", "of the row, by the erratum"),
    Field("digitised", "Read off a picture", "the number was not printed but read off a figure", "flag"),
    Field("paper", "Paper", "title of the submission's paper"),
    Field("paper_link", "Paper's address", "of the submission's paper"),
    Field("bibtex", "BibTeX", "of the submission's paper"),
    Field("code", "Code", "address of the submission's code"),
    Field("contact", "Contact", "whom to ask about the submission"),
    Field("licence", "Licence", "of the submission's records"),
    Field("training", "How it was trained", "in the words of the submission"),
    Field(
        "different_code", "Different code", "what differs, where a submission has other code of a method of this suite"
    ),
    Field("hardware", "Hardware", "that the runs were made on"),
    Field("suite", "Suite", "version of this suite that made the records"),
    Field("commit", "Commit", "of the code that made the records"),
    Field("finished", "Finished", "when the last run ended, UTC, ISO 8601"),
    Field("comparability_version", "Comparability version", "rows of different ones must not be compared", "count"),
    Field("cell", "Cell", "digest that the runs share that differ in nothing but the seed"),
    Field("seeds", "Seeds", "of the runs", "data"),
    Field(
        "configuration", "Configuration", "of the run, every field that is not at its default, without its seed", "data"
    ),
    Field("layer_names", "Layers", "names of the weight tensors", "data"),
    Field(
        "layer_sparsities",
        "Layers' sparsities",
        "achieved, mean over the runs that are done, in the same order",
        "data",
    ),
]
FIELDS = (*_ABOUT_IT, *_QUALITY, *_COST, *_WHERE)
"""In the order of the columns of leaderboard.csv."""
