"""What it means when a model server does not answer, and what to do."""

import grpc

from dfk.errors import UserError

# TensorFlow numbers them alike.
CODES = {code.value[0]: code for code in grpc.StatusCode}
# How gRPC itself, in place of a server, begins to say what is unavailable.
_UNREACHED = ("failed to connect", "errors resolving", "DNS resolution failed")
# What it says of a server that was reached, but not to speak with.
_UNCONNECTED = {
    "CERTIFICATE_VERIFY_FAILED": "has a certificate of an unknown authority: "
    "pass --ca with the authority's certificate.",
    "Hostname Verification": "has a certificate for another name: pass "
    "--server with the name that is in it.",
    "WRONG_VERSION_NUMBER": "does not speak TLS: leave --tls, --ca and --cert "
    "out.",
    "Socket closed": "ends every connection: if it speaks TLS, pass --tls, and "
    "--cert and --key if it asks for a certificate.",
}
# What the other codes say of the server, and what to do.
_ADVICE = {
    grpc.StatusCode.DEADLINE_EXCEEDED: "did not answer within {seconds:g} "
    "seconds: ask about fewer pictures at once, pass a longer --timeout, or "
    "check its load.",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "is too busy, or the request is too "
    "large: ask again later, or about fewer pictures at once, or raise its "
    "--grpc_max_threads.",
    grpc.StatusCode.INVALID_ARGUMENT: "does not accept the request: check that "
    "its model {model!r} was exported by `python -m dfk.export`, and that its "
    "batching takes 32 pictures at once.",
    grpc.StatusCode.FAILED_PRECONDITION: "has no signature for pictures: check "
    "that its model {model!r} was exported by `python -m dfk.export`.",
    grpc.StatusCode.UNIMPLEMENTED: "is no model server: pass --server with the "
    "gRPC address of one, not that of REST.",
    grpc.StatusCode.UNAUTHENTICATED: "asks who is calling: pass a token from "
    "its operator with --metadata.",
    grpc.StatusCode.PERMISSION_DENIED: "does not let you ask: get the rights "
    "from its operator.",
    grpc.StatusCode.CANCELLED: "cancelled the request: ask again.",
    grpc.StatusCode.ABORTED: "gave the request up: ask again.",
}
_ELSE = "failed: look for the reason in its own log."


def explained(
    code: grpc.StatusCode,
    details: str,
    address: str,
    model: str,
    seconds: float,
) -> UserError:
    """The error of a request that was not answered.

    Args:
        code: what gRPC or the server calls it.
        details: what it says about it, in one line.
        address: the server's.
        model: the model that was asked.
        seconds: how long an answer was waited for.

    Returns:
        One sentence with what to do.

    Example:
        >>> explained(grpc.StatusCode.ABORTED, "", "localhost:1", "clip", 60)
        UserError('The server at localhost:1 gave the request up: ask again. ..
    """
    if code == grpc.StatusCode.UNAVAILABLE:
        return _unavailable(details, address)
    advice = _ADVICE.get(code, _ELSE).format(seconds=seconds, model=model)
    return UserError(
        f"The server at {address} {advice} Received: {code.name}"
        f"{details and ': '}{details}"
    )


def _unavailable(details: str, address: str) -> UserError:
    if not details.startswith(_UNREACHED):
        return UserError(
            f"The server at {address} cannot answer now ({details}): ask "
            "again later, or about fewer pictures at once."
        )
    for said, advice in _UNCONNECTED.items():
        if said in details:
            return UserError(f"The server at {address} {advice}")
    return UserError(
        f"No model server answers at {address}: start one with `python -m "
        "dfk.serve`, or pass --server=HOST:PORT."
    )
