"""dfk: is this picture of a face real, or a deepfake?

Importing `dfk` is cheap: TensorFlow is imported by the modules that need it
(`dfk.models`, `dfk.training`, ...), never by this one.
"""

__version__ = "0.2.0"
# Of runs and exported detectors. What has another number is refused.
FORMAT = 2
