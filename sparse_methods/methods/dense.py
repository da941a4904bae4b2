"""The dense network: the ceiling that sparse networks are measured against."""

from sparse_methods.method import Method


class Dense(Method):
    """No masks. Training costs 3 f_D per sample."""

    name, label = "dense", "Dense"
    citation, year, family = "evci2020rigl", 2020, "dense"
    dense_parts = ("everything",)
    starts = "unmasked"
    ignores = ("sparsity", "distribution", "layout")
