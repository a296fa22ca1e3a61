"""How good a detector is: scores, metrics with intervals, calibration."""
