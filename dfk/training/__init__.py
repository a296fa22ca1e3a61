"""From a data set to a trained detector: `train.py` tells the whole story."""
