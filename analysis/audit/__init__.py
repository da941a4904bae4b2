"""The audit of the published record: every FLOPs, size and sparsity cell recomputed, each with a verdict that is computed.

``reported`` rows -> ``cells`` -> ``rules`` (what a cell's source states, and what it may have done instead) -> ``settings``
(from there to one number) -> ``verdicts`` -> ``page``. A number of the record is an input of its own
verdict in one place: the two ``dead-weights`` hypotheses are fitted to the sizes that they explain, and say so.
"""
