"""What all commands share: flags, a quiet start, errors as sentences."""

import ctypes
import errno
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from absl import app, flags, logging

from dfk.errors import UserError
from dfk.files import NO_ROOM, no_room, scratch_dir

# A command that does not end by itself so long after a signal is ended.
_GRACE_SECONDS = 3.5
# The main thread handles a signal so soon, unless it waits for something.
_HANDLED_SECONDS = 0.3
# What a signal is called; a shell expects 128 and its number as the status.
_SIGNALS = {signal.SIGINT: "Interrupted", signal.SIGTERM: "Terminated"}
# The variables that keep libraries silent here, but not in other programs.
_SILENCED: set[str] = set()
# Of <malloc.h>.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3

_HELP = {
    f"{dashes}{flag}"
    for dashes in ("-", "--")
    for flag in ("help", "helpfull", "helpshort", "helpxml")
}


class Stopped(KeyboardInterrupt):
    """SIGINT or SIGTERM arrived.

    Args:
        number: the signal's.
    """

    def __init__(self, number: int):
        super().__init__()
        self.number = number


def run(
    main: Callable[[Sequence[str]], int | None], after_stop: str = ""
) -> None:
    """Parses the flags and runs a command's `main`, then exits.

    The exit status is what `main` returns (None is 0). It is 1 after a
    `UserError`, when a file cannot be read or written, or when the output
    cannot be written or its reader has gone; after Ctrl-C it is 130, and 143
    after SIGTERM.

    Args:
        main: called with the program's name and its positional arguments.
        after_stop: what is said to the user who stopped the command.

    Example:
        >>> if __name__ == "__main__":
        ...     cli.run(main)
    """
    _quiet()
    for stream in (sys.stdout, sys.stderr):
        # A path may hold what the screen cannot show.
        stream.reconfigure(errors="backslashreplace")

    def guarded(argv: Sequence[str]) -> int | None:
        if not flags.FLAGS["verbosity"].present:
            logging.set_verbosity(logging.ERROR)
        stopped = stop_on_signals()
        try:
            return main(argv)
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
        except BaseException as error:
            # What is under way, an import say, may make another error of it.
            if stopped:
                name = _SIGNALS[stopped[0]]
                print(f"\n{name}. {after_stop}".strip(" "), file=sys.stderr)
                return 128 + stopped[0]
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


def stop_on_signals() -> list[int]:
    """Makes SIGINT and SIGTERM raise `Stopped` in the main thread.

    Python runs a handler only between two of its own instructions, and a
    network may compute for minutes in one. So a thread, which the signal
    itself wakes, ends the process `_GRACE_SECONDS` later whatever it does; a
    second signal ends it at once.

    Returns:
        A list that gets the number of the signal when it arrives.
    """
    arrived = []

    def stop(number: int, _) -> NoReturn:
        for each in _SIGNALS:
            signal.signal(each, signal.SIG_DFL)
        arrived.append(number)
        # Where Python ignores exceptions, as when it deletes an object, it
        # would print this one. Pools that are torn down halfway complain, too.
        sys.unraisablehook = lambda _: None
        raise Stopped(number)

    def watch() -> None:
        (number,) = os.read(reader, 1)
        time.sleep(_HANDLED_SECONDS)
        if not arrived:
            # Another thread received it, and the main thread still waits.
            signal.pthread_kill(threading.main_thread().ident, number)
        time.sleep(_GRACE_SECONDS)
        os._exit(128 + number)

    for each in _SIGNALS:
        signal.signal(each, stop)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    threading.Thread(target=watch, daemon=True).start()
    return arrived


def _parse(argv: Sequence[str]) -> list[str]:
    """Parses flags; a mistake is a sentence, and `--help` ends with 0."""
    argv = ["--help" if argument == "-h" else argument for argument in argv]
    try:
        return flags.FLAGS(argv)
    except flags.Error as error:
        print(f"error: {error} (see --help)", file=sys.stderr)
        sys.exit(1)
    except SystemExit:
        if _HELP.intersection(argv[1:]):
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

    Raises:
        UserError: Keras was imported already, and not on TensorFlow; or there
            is no folder for temporary files, without which TensorFlow and
            Matplotlib cannot be imported.
    """
    _quiet()
    _keep_freed_memory()
    use_tensorflow_backend()
    _name_a_home()
    with tempfile.TemporaryFile(dir=scratch_dir()) as notes:
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
    silence("TF_CPP_MIN_LOG_LEVEL", "3")


def silence(variable: str, value: str) -> None:
    """Sets a variable of the environment, unless the user has set it.

    Args:
        variable: what keeps a library's lines off the screen.
        value: what it takes for that.
    """
    if variable not in os.environ:
        os.environ[variable] = value
        _SILENCED.add(variable)


def environment_for_others() -> dict[str, str]:
    """The environment for another program, whose lines are to be seen."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in _SILENCED
    }


def _keep_freed_memory() -> None:
    """Lets the process keep the memory of tensors that it has just freed.

    glibc returns large blocks at once, and the kernel clears each page anew
    when the next layer asks for as much: a third of CLIP's time on two cores
    (benchmarks/recipes.md). What a user has set is kept.

    Reference:
        mallopt(3): M_MMAP_THRESHOLD, whose largest value this is, and
        M_TRIM_THRESHOLD and M_TOP_PAD.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    # Other C libraries have no such function.
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        mallopt(_M_TRIM_THRESHOLD, 1 << 30)
        mallopt(_M_TOP_PAD, 64 << 20)


def use_tensorflow_backend() -> None:
    """Makes Keras run on TensorFlow, whatever `KERAS_BACKEND` says.

    The variable is for the user's other work; nothing of dfk runs on another
    backend.

    Raises:
        UserError: Keras was imported already, and not on TensorFlow.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = "tensorflow"
        return
    backend = sys.modules["keras"].backend.backend()
    if backend != "tensorflow":
        raise UserError(
            "dfk needs Keras on TensorFlow: import dfk.models before keras, or "
            "set KERAS_BACKEND=tensorflow. Received: Keras that was imported "
            f"on {backend}."
        )


def _name_a_home() -> None:
    """Names a home for a user without one, as in some containers.

    kagglehub cannot be imported without, and Keras would make a folder `~`
    where it is started. Nothing can be written into this one.
    """
    if os.path.expanduser("~") == "~":
        os.environ["HOME"] = os.devnull
