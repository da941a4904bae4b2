"""Static: a random mask, frozen. The floor that moving a topology has to beat (RigL, section 4.1)."""

from sparse_methods.method import Method


class Static(Method):
    """The authors' code calls this ``scratch``; its own ``static`` regrows what it drops, at zero."""

    name, label = "static", "Static"
    citation, year, family = "evci2020rigl", 2020, "sparse-to-sparse"
    elementwise = True
