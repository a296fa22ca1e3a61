"""What the two services share: turning errors into gRPC answers."""

import functools
from collections.abc import Callable

import grpc

from dfk.serving.status import ServingError, invalid

_LONGEST = 1024


def answers(method: Callable) -> Callable:
    """Makes a service's method answer a `ServingError` as the server does.

    Args:
        method: takes the request and returns the response.

    Returns:
        The method as gRPC calls it, with the call's context.
    """

    @functools.wraps(method)
    def served(self, request, context: grpc.ServicerContext):
        try:
            return method(self, request)
        except ServingError as error:
            text = error.message
            if len(text) > _LONGEST:
                text = text[:_LONGEST] + "...TRUNCATED"
            return context.abort(error.code, text)

    return served


def require_spec(request) -> None:
    """Refuses a request that says nothing of the model it wants.

    Raises:
        ServingError: with TensorFlow Serving's code and wording.
    """
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")
