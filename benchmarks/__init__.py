"""Speed, measured as ratios of alternatives in one process; what is to be reached is in ``targets.yaml``."""
