"""SET: sparse evolutionary training (Mocanu et al., Nature Communications 2018).

Drop the weights nearest to zero, grow as many at random. The original drops the smallest positive and the largest
negative weights apart; here, as in RigL's comparison, the smallest magnitudes, with RigL's decaying drop fraction.
"""

from torch import Tensor

from sparse_methods.method import Layer, Method


class SET(Method):
    """Updates follow the gradient step, as in RigL's code (``SparseSETOptimizer``, commit d39fc7d)."""

    name, label = "set", "SET"
    citation, year, family = "mocanu2018set", 2018, "sparse-to-sparse"
    updates = "after_step"
    elementwise = True

    def grow_score(self, layer: Layer) -> Tensor:
        return layer.random()
