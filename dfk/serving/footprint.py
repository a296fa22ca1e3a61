"""The memory that serving a version takes, measured in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import tensorflow as tf

from dfk.prediction.predictor import BATCH
from dfk.serving import warmup
from dfk.serving.protobufs import predict_pb2
from dfk.serving.servable import Servable


@dataclass(frozen=True)
class Footprint:
    """Resident memory of a process that serves one version, in MiB.

    Args:
        empty: before it loads the version.
        serving: after the version has answered full requests.
        rolling: with a second version loaded and warmed up beside the first,
            as while a server goes from one to the next.
    """

    empty: int
    serving: int
    rolling: int


def footprint(version: Path) -> Footprint:
    """Measures what serving an exported version takes.

    It is loaded as `dfk.serve` loads it. TensorFlow Serving needs as much for
    the model, but less for itself.

    Args:
        version: its folder, with `saved_model.pb`.

    Raises:
        RuntimeError: the process failed, for instance for want of memory.

    Example:
        >>> footprint(Path("saved_models/cnn/1"))
        Footprint(empty=712, serving=968, rolling=1047)
    """
    # Without a GPU, whose memory is another, and which this process may hold.
    process = subprocess.run(
        [sys.executable, "-m", __name__, str(version)],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
    )
    if process.returncode:
        raise RuntimeError(
            f"The memory of {version} could not be measured; its process "
            f"ended with status {process.returncode}: {process.stderr}"
        )
    return Footprint(**json.loads(process.stdout))


def _measured(version: Path) -> Footprint:
    empty = _resident()
    # Both are kept until the end.
    first = _loaded(version)
    _answer_full_requests(first)
    serving = _resident()
    second = _loaded(version)
    rolling = _resident()
    del first, second
    return Footprint(empty, serving, rolling)


def _loaded(version: Path) -> Servable:
    servable = Servable("measured", 1, version)
    warmup.replay(servable)
    return servable


def _answer_full_requests(servable: Servable) -> None:
    pictures = warmup.pictures(side=256)
    request = predict_pb2.PredictRequest()
    request.inputs["image_bytes"].CopyFrom(
        tf.make_tensor_proto(pictures * (BATCH // len(pictures)))
    )
    for _ in range(2):
        servable.predict(request)


def _resident() -> int:
    return psutil.Process().memory_info().rss >> 20


if __name__ == "__main__":
    print(json.dumps(asdict(_measured(Path(sys.argv[1])))))
