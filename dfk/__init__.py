"""dfk: is this picture of a face real, or a deepfake?

Importing `dfk` is cheap: TensorFlow is imported by the modules that need it
(`dfk.models`, `dfk.training`, ...), never by this one.

Example:
    >>> import dfk
    >>> [prediction] = dfk.detect("photo.jpg")
    >>> prediction.verdict, prediction.fake_probability
    ('fake', 0.93...)
    >>> dfk.load("runs/facenet").predict(["a.jpg", "b.jpg"])
    [Prediction(image='a.jpg', verdict='fake', ...), Prediction(...)]
    >>> dfk.Client("localhost:8500", model="clip").predict("photo.jpg")
    [Prediction(image='photo.jpg', verdict='fake', ...)]
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dfk.prediction.detector import detect, load
    from dfk.serving.client import Client

__version__ = "0.2.0"
# Of runs and exported detectors. What has another number is refused.
FORMAT = 3

# Of the built-in detector. A score of one version never changes.
__detector_version__ = 2

__all__ = [
    "FORMAT",
    "Client",
    "__detector_version__",
    "__version__",
    "detect",
    "load",
]

_LAZY = {
    "detect": "dfk.prediction.detector",
    "load": "dfk.prediction.detector",
    "Client": "dfk.serving.client",
}


def __getattr__(name: str) -> Any:
    """Imports what was asked for, with the TensorFlow that it may need."""
    if name not in _LAZY:
        raise AttributeError(f"module 'dfk' has no attribute {name!r}")
    if name in ("detect", "load"):
        from dfk import cli

        cli.start_tensorflow()
    # Kept, so that this happens once.
    module = importlib.import_module(_LAZY[name])
    found = globals()[name] = getattr(module, name)
    return found
