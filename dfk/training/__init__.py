"""From a data set to a trained detector: strategies, phases, runs."""
