"""How a connection to a model server is made: limits and further tries."""

import json

# The pictures of a request have at most half of that; a model server takes
# twice as much.
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
