import sys
from pathlib import Path

# The detector and its export are those of tests/serving.
sys.path.append(str(Path(__file__).parents[1] / "serving"))

from tiny import _exported_once, detector, pictures, place, run

__all__ = ["_exported_once", "detector", "pictures", "place", "run"]
