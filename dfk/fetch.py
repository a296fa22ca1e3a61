"""Fetches the pretrained weights of all detectors, for use without a network.

    python -m dfk.fetch [DETECTOR...]

They go into ~/.cache/dfk (DFK_CACHE); what Keras fetches itself, into ~/.keras
(KERAS_HOME). Each file is checked by its SHA-256, or as Keras does it. The exit
status is 1 if any could not be had; the others are there all the same.
"""

from collections.abc import Sequence

from dfk import cli


def main(argv: Sequence[str]) -> int:
    """Fetches weights, and says of each whether it is there."""
    cli.start_tensorflow()
    from dfk import models
    from dfk.download import UnavailableError

    detectors = [models.get(name) for name in argv[1:] or models.names()]
    missing = False
    for detector in detectors:
        if not detector.weights:
            print(f"{detector.name}: has no pretrained weights.")
        for name, load in detector.weights.items():
            found = "there."
            try:
                load(models.build(detector.name, weights="none"))
            except UnavailableError as error:
                found, missing = f"not there. {error.reason}", True
            print(f"{detector.name} {name}: {found}", flush=True)
    return int(missing)


if __name__ == "__main__":
    cli.run(main)
