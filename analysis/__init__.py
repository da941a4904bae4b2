"""From records to answers: pure functions of records and of ``analysis/published``."""
