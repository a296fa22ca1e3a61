"""What every command shares: flags in, a quiet start, errors as sentences."""

import os
import sys
from collections.abc import Callable, Sequence

from absl import app

from dfk.errors import UserError


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses the flags and runs a command's `main`, then exits.

    The exit status is what `main` returns (None is 0), 1 after a `UserError`
    and 130 after Ctrl-C.

    Args:
        main: called with the program's name and its positional arguments.

    Example:
        >>> if __name__ == "__main__":
        ...     cli.run(main)
    """
    _quiet()

    def guarded(argv: Sequence[str]) -> int | None:
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            return 130

    app.run(guarded)


def _quiet() -> None:
    """Keeps TensorFlow's start-up notes off the user's screen.

    It must run before TensorFlow is first imported. What the user has set is
    left alone, so `TF_CPP_MIN_LOG_LEVEL=0` brings the notes back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
