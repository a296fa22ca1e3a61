import shutil

import pytest
import tensorflow as tf
from tiny import _exported_once, detector, images, place, run

__all__ = ["_exported_once", "detector", "images", "place", "run"]

CONFIG = """model_config_list {{ config {{
    name: 'toy' base_path: '/models/toy' model_platform: 'tensorflow' {} }} }}
"""


class Models:
    """A `models.config` and its folders, with models that load in no time."""

    def __init__(self, folder, saved_model):
        self.config = folder / "models.config"
        self.root = folder / "saved_models"
        self._saved_model = saved_model
        self.configure()

    def configure(self, settings="", name="toy"):
        """Lists one model, with a policy or labels."""
        self.config.write_text(CONFIG.format(settings).replace("toy", name))

    def version(self, number, name="toy"):
        """The folder of a version."""
        return self.root / name / str(number)

    def add(self, *numbers, name="toy"):
        """Publishes versions as an export does: complete, by a rename."""
        for number in numbers:
            staging = self.root / ".new"
            shutil.copytree(self._saved_model, staging)
            self.version(number, name).parent.mkdir(exist_ok=True)
            staging.rename(self.version(number, name))


@pytest.fixture(scope="session")
def _toy_saved_once(tmp_path_factory):
    """A SavedModel that answers with what it was asked."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
    def echo(text):
        return {"text": text}

    folder = tmp_path_factory.mktemp("toy") / "saved"
    tf.saved_model.save(tf.Module(), str(folder), {"serving_default": echo})
    return folder


@pytest.fixture
def toy(_toy_saved_once, tmp_path):
    """Version 1 of a toy, in folders of the test's own."""
    models = Models(tmp_path, _toy_saved_once)
    models.add(1)
    return models
