"""The one exception of this package that is meant for the person at the keyboard."""

from __future__ import annotations


class AnalysisError(Exception):
    """Something in the inputs is wrong; the message names it and says the way out, in one or two lines."""
