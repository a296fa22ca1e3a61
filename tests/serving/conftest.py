from tiny import _exported_once, detector, images, place, run

__all__ = ["_exported_once", "detector", "images", "place", "run"]
