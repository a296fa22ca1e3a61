"""The memory that serving a version takes, measured in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import tensorflow as tf

from dfk.errors import UserError
from dfk.prediction.predictor import BATCH
from dfk.serving import warmup
from dfk.serving.protobufs import predict_pb2
from dfk.serving.servable import Servable


@dataclass(frozen=True)
class Footprint:
    """The most resident memory that a process that serves has had, in MiB.

    Args:
        empty: before it loaded a version.
        serving: until the version had answered full requests.
        rolling: until a second version had been loaded beside the first and
            had answered as well, as in a server that goes from one to the next.
    """

    empty: int
    serving: int
    rolling: int


def require_linux() -> None:
    """Refuses other systems, which do not tell the peak of a process.

    Raises:
        UserError: this is another.
    """
    if sys.platform != "linux":
        raise UserError(
            "The memory of a process can be measured on Linux only: leave out "
            f"--memory. Received: {sys.platform}."
        )


def footprint(version: Path) -> Footprint:
    """Measures what serving an exported version takes.

    It is loaded as `dfk.serve` loads it. A model server has the same weights
    and maps in memory, but `empty` is another number there.

    Args:
        version: its folder, with `saved_model.pb`.

    Raises:
        UserError: the system is not Linux, or the process failed, for
            instance for want of memory.

    Example:
        >>> footprint(Path("saved_models/cnn/1"))
        Footprint(empty=660, serving=994, rolling=1084)
    """
    require_linux()
    # Without a GPU, whose memory is another, and which this process may hold.
    process = subprocess.run(
        [sys.executable, "-m", __name__, str(version)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        said = process.stderr.strip().splitlines()[-1:]
        raise UserError(
            "The memory that serving takes could not be measured (status "
            f"{process.returncode}): make room, or leave out --memory. "
            f"Received: {''.join(said)}"
        )
    return Footprint(**json.loads(process.stdout))


def _measured(version: Path) -> Footprint:
    empty = _peak()
    # Both are kept until the end.
    first = _answering(version)
    serving = _peak()
    second = _answering(version)
    rolling = _peak()
    del first, second
    return Footprint(empty, serving, rolling)


def _answering(version: Path) -> Servable:
    servable = Servable("measured", 1, version)
    warmup.replay(servable)
    pictures = warmup.pictures(side=256)
    request = predict_pb2.PredictRequest()
    request.inputs["image_bytes"].CopyFrom(
        tf.make_tensor_proto(pictures * (BATCH // len(pictures)))
    )
    for _ in range(2):
        servable.predict(request)
    return servable


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) >> 10


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(Path(sys.argv[1])))))
