"""The one exception that a user is meant to read."""


class UserError(Exception):
    """Something the user asked for cannot be done.

    Its message is one sentence that says what was wrong, what was received
    and what to do about it. Commands print it without a traceback and exit
    with status 1.

    Example:
        >>> raise UserError("No run at runs/x: pass the folder of a run.")
    """
