"""From a study to records: runs, data, models, cost, training."""
