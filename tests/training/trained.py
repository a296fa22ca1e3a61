"""What a training left behind."""

import json

from dfk import models


def weights(run):
    return models.load(run.path).get_weights()


def best_auc(run):
    epochs = json.loads(run.results_path.read_text())["training"]["epochs"]
    return max(epoch["val_auc"] for epoch in epochs)


def validation_auc(run):
    return run.results["training"]["validation"]["val_auc"]
