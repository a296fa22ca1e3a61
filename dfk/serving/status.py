"""The errors that a model server answers with."""

import grpc


class ServingError(Exception):
    """A request or a configuration that TensorFlow Serving would refuse.

    Args:
        code: the gRPC status of the answer.
        message: TensorFlow Serving's own wording.

    Example:
        >>> raise invalid("Missing ModelSpec")
    """

    def __init__(self, code: grpc.StatusCode, message: str):
        super().__init__(message)
        self.code = code
        self.message = message


def invalid(message: str) -> ServingError:
    """An INVALID_ARGUMENT error."""
    return ServingError(grpc.StatusCode.INVALID_ARGUMENT, message)


def not_found(message: str) -> ServingError:
    """A NOT_FOUND error."""
    return ServingError(grpc.StatusCode.NOT_FOUND, message)


def precondition(message: str) -> ServingError:
    """A FAILED_PRECONDITION error."""
    return ServingError(grpc.StatusCode.FAILED_PRECONDITION, message)


def from_number(number: int, message: str) -> ServingError:
    """An error from a status number, as TensorFlow's errors carry it."""
    codes = {code.value[0]: code for code in grpc.StatusCode}
    return ServingError(codes[number], message)


def unknown(message: str) -> ServingError:
    """An UNKNOWN error."""
    return ServingError(grpc.StatusCode.UNKNOWN, message)
