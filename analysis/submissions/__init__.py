"""Records of third parties: checked word by word, refused with every defect named, and shown beside those of the suite.

A submission is a folder ``results/submissions/NAME`` with ``card.yaml`` (``card.Card`` says what stands in it) and
``records.jsonl`` (one record a line, as ``pipeline.record.Record`` has it). Nothing in it is believed that can be recomputed,
and none of it is run.
"""

from analysis.submissions.checker import Submission, check
from analysis.submissions.defects import Defect, DefectiveError
from analysis.submissions.folder import found
from analysis.submissions.frame import CARD_COLUMNS, SUBMITTED, load

__all__ = ["CARD_COLUMNS", "SUBMITTED", "Defect", "DefectiveError", "Submission", "check", "found", "load"]
