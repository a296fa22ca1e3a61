from tiny import _exported_once, detector, pictures, place, run

__all__ = ["_exported_once", "detector", "pictures", "place", "run"]
