"""How a connection to a model server is made: limits, further tries, TLS."""

import json
import re
import ssl
from collections.abc import Iterable
from pathlib import Path

import grpc

from dfk.errors import UserError
from dfk.files import expanded

# The largest picture has half of that; a model server takes twice as much.
MESSAGE_BYTES = 1 << 30

# gRPC tries again by itself, within the deadline of the call: a server that is
# busy, starts again, or closed an idle connection.
_RETRIES = {
    "methodConfig": [
        {
            "name": [{}],
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.2s",
                "maxBackoff": "5s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
            },
        }
    ]
}

CHANNEL_OPTIONS = [
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    # A model server is asked directly: a proxy would also catch localhost.
    ("grpc.enable_http_proxy", 0),
    ("grpc.service_config", json.dumps(_RETRIES)),
    # What is larger than this is not kept, and so not sent again.
    ("grpc.per_rpc_retry_buffer_size", MESSAGE_BYTES),
    # A server that started again is found within a second.
    ("grpc.max_reconnect_backoff_ms", 1000),
]


def tls(
    ca: str | None = None, cert: str | None = None, key: str | None = None
) -> grpc.ChannelCredentials:
    """Credentials for an encrypted connection, from PEM files.

    Args:
        ca: the certificates of the authorities that the server's is checked
            with; those that come with gRPC if None.
        cert: the client's own certificate, for a server that asks for one.
        key: the private key of that, unencrypted.

    Returns:
        What `dfk.Client` takes as `credentials`.

    Raises:
        UserError: a file cannot be read or does not fit.

    Example:
        >>> dfk.Client("example.org:443", credentials=tls(ca="ca.pem"))
    """
    if (cert is None) != (key is None):
        raise UserError(
            "A client's certificate and its private key go together: pass both "
            "--cert and --key."
        )
    ca, cert, key = (file and str(expanded(file)) for file in (ca, cert, key))
    try:
        # gRPC would only log what is wrong with them.
        context = ssl.create_default_context(cafile=ca)
        if cert:
            # An empty password: nobody is asked for one.
            context.load_cert_chain(cert, key, password="")
        chain = [file and Path(file).read_bytes() for file in (ca, key, cert)]
    except OSError as error:
        files = ", ".join(file for file in (ca, cert, key) if file)
        raise UserError(
            "The files for TLS cannot be used "
            f"({error.strerror or error}): pass PEM files, a key that is the "
            f"certificate's, and not encrypted. Received: {files}."
        ) from error
    return grpc.ssl_channel_credentials(*chain)


def checked_metadata(
    metadata: Iterable[tuple[str, str]],
) -> list[tuple[str, str]]:
    """Metadata as gRPC takes it.

    Args:
        metadata: names and values of text.

    Returns:
        The same, with names in small letters.

    Raises:
        UserError: a name or a value has another character. The value is not
            told, since it may be a secret.

    Example:
        >>> checked_metadata([("Authorization", "Bearer 123")])
        [('authorization', 'Bearer 123')]
    """
    checked = [(name.lower(), value) for name, value in metadata]
    for name, value in checked:
        if (
            not re.fullmatch("[a-z0-9_.-]+", name)
            or name.endswith("-bin")
            or not re.fullmatch("[ -~]*", value)
        ):
            raise UserError(
                "Metadata is a name of letters, digits and -, and a value of "
                "one line of ASCII: correct it, as in "
                f"authorization='Bearer TOKEN'. Received: the name {name!r}."
            )
    return checked
