"""What all commands share: flags, a quiet start, errors as sentences."""

import errno
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence

from absl import app, flags, logging

from dfk.errors import UserError
from dfk.files import NO_ROOM, no_room


def run(main: Callable[[Sequence[str]], int | None]) -> None:
    """Parses the flags and runs a command's `main`, then exits.

    The exit status is what `main` returns (None is 0). It is 1 after a
    `UserError`, when a file cannot be read or written, when the output cannot
    be written or its reader has gone, and 130 after Ctrl-C.

    Args:
        main: called with the program's name and its positional arguments.

    Example:
        >>> if __name__ == "__main__":
        ...     cli.run(main)
    """
    _quiet()

    def guarded(argv: Sequence[str]) -> int | None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except Exception as error:
            failed = error if isinstance(error, OSError) else no_room(error)
            if failed is None or failed.filename is None:
                raise
            print(
                f"error: {failed.filename}: {failed.strerror}. Check that "
                "path, the rights to it and the room on its disk, or pass "
                "another.",
                file=sys.stderr,
            )
            return 1
        except KeyboardInterrupt:
            print("\nInterrupted.", file=sys.stderr)
            return 130

    try:
        try:
            app.run(guarded, flags_parser=_parse)
        finally:
            sys.stdout.flush()
    except OSError as error:
        if error.errno not in (errno.EPIPE, *NO_ROOM):
            raise
        # Python flushes once more when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader that has gone, as in `--help | head`, knows it.
        if error.errno != errno.EPIPE:
            print(
                f"error: {error.strerror}: the output could not be written. "
                "Make room, or send it elsewhere.",
                file=sys.stderr,
            )
        sys.exit(1)


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses flags as absl does, but `--help` ends with status 0."""
    argv = ["--help" if argument == "-h" else argument for argument in argv]
    try:
        return app.parse_flags_with_usage(argv)
    except SystemExit:
        if any(argument.lstrip("-").startswith("help") for argument in argv):
            sys.exit(0)
        raise


def no_arguments(argv: Sequence[str]) -> None:
    """Refuses positional arguments, which would be ignored silently.

    Raises:
        UserError: there is one.
    """
    if len(argv) > 1:
        raise UserError(
            f"This command takes only flags, but got {argv[1]!r}: see --help."
        )


def print_table(
    title: str,
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    caption: str | None = None,
) -> None:
    """Prints a table, its first column flush left and the others right.

    Args:
        title: what stands above it.
        head: the columns' names.
        rows: as many cells each; an empty one draws a line.
        caption: what stands below it.
    """
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, caption=caption)
    for number, name in enumerate(head):
        table.add_column(name, justify="right" if number else "left")
    for row in rows:
        if row:
            table.add_row(*row)
        else:
            table.add_section()
    # Cells hold paths, in which [brackets] are no markup.
    Console(markup=False).print(table)


def start_tensorflow() -> None:
    """Imports TensorFlow without its start-up notes on the user's screen.

    A command calls it just before it imports modules that need TensorFlow. The
    notes come from C++ before any log level applies, so standard error itself
    is redirected. If the import fails, what was redirected is shown. Python
    code gets the same from `dfk.load`.
    """
    _quiet()
    with tempfile.TemporaryFile() as notes:
        sys.stderr.flush()
        screen = os.dup(2)
        os.dup2(notes.fileno(), 2)
        try:
            import keras
            import tensorflow

            del keras
            # The first search for GPUs prints notes as well.
            tensorflow.config.list_physical_devices()
            tensorflow.get_logger().setLevel("ERROR")
        except BaseException:
            notes.seek(0)
            os.write(screen, notes.read())
            raise
        finally:
            os.dup2(screen, 2)
            os.close(screen)


def _quiet() -> None:
    """Keeps TensorFlow's start-up notes off the user's screen.

    It must run before TensorFlow is first imported. Variables that the user
    has set are kept, so `TF_CPP_MIN_LOG_LEVEL=0` brings the notes back.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
