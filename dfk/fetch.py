"""Fetches the pretrained weights of all detectors, for use without a network.

    python -m dfk.fetch [DETECTOR...]

They go into ~/.cache/dfk (DFK_CACHE); what Keras fetches itself, into ~/.keras
(KERAS_HOME). Each file is checked by its SHA-256.
"""

from collections.abc import Sequence

from dfk import cli


def main(argv: Sequence[str]) -> int:
    """Fetches weights, and says of each whether it is there."""
    cli.start_tensorflow()
    from dfk import models
    from dfk.errors import UserError

    missing = 0
    for detector in map(models.get, argv[1:] or models.names()):
        for weights in detector.weights:
            try:
                models.build(detector.name, weights=weights)
                found = "there"
            except UserError as error:
                missing += 1
                found = str(error)
            print(f"{detector.name} {weights}: {found}", flush=True)
    return int(missing > 0)


if __name__ == "__main__":
    cli.run(main)
