"""The local stand-in under load while everything around it goes wrong.

`python benchmarks/serving.py --soak_seconds=60` runs it. The model answers at
once, and each version otherwise, so that a wrong answer would be seen.
"""

import contextlib
import dataclasses
import random
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import tensorflow as tf
from served import free_port, memory, served

from dfk.errors import UserError
from dfk.serving import model_config
from dfk.serving.client import Client
from dfk.serving.model_status import State, model_status
from dfk.serving.protobufs import (
    from_strings,
    predict_pb2,
    prediction_service_pb2_grpc,
)

NAME = "soak"
CALLERS = 4
IMAGES = [f"picture {number}".encode() for number in range(200)]
# The stand-in looks for versions every second.
_NOTICED_SECONDS = 10.0
# Allocators keep some of what was freed; a leak grows with each round.
_MOST_GROWTH = 1.3


@dataclasses.dataclass
class Report:
    """What came of it.

    Args:
        requests: how many were answered.
        faults: how many things went wrong around them.
        lost: requests without an answer, and faults with an untyped error.
        changed: answers that were not those of the version they named.
        memory: of the server in MiB, after each round since its last start.
    """

    requests: int = 0
    faults: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    changed: int = 0
    memory: list[int] = dataclasses.field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, changed or leaked."""
        leaked = self.memory[-1] > _MOST_GROWTH * self.memory[0]
        return not (self.lost or self.changed or leaked)


@tf.function(
    input_signature=[
        tf.TensorSpec([None], tf.string, "image_bytes"),
        tf.TensorSpec([], tf.int64),
    ]
)
def _answer(image_bytes, version):
    hashed = tf.strings.to_hash_bucket_fast(image_bytes, 1000) + version
    probability = tf.cast(hashed % 1000, tf.float32) / 1000
    return {
        "fake_probability": probability,
        "verdict": tf.where(probability > 0.5, "fake", "real"),
        "reason": tf.zeros_like(image_bytes),
    }


class Soak:
    """A model, its server, callers, and faults.

    Args:
        folder: an empty folder for all of it.
    """

    def __init__(self, folder: Path):
        self.report = Report()
        self._config = folder / "models.config"
        self._root = folder / "saved_models"
        self._spare = folder / "spare"
        self._port = free_port()
        self._address = f"127.0.0.1:{self._port}"
        # A client waits for a server that has answered it.
        self._answered = threading.Barrier(CALLERS + 1)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._expected: dict[int, dict[bytes, tuple[float, str]]] = {}
        self._server = None
        self._starts = contextlib.ExitStack()
        model_config.add(self._config, NAME)
        (folder / "batching.config").write_text("max_batch_size { value: 32 }")
        (self._root / NAME).mkdir(parents=True)
        self._spare.mkdir()
        for version in (1, 2):
            self._save(version)
        self._move(1, into=True)

    def run(self, seconds: float) -> Report:
        """Calls and breaks things for a while; at least one round of faults."""
        ends = time.monotonic() + seconds
        callers = [
            threading.Thread(target=self._call, args=(seed,), daemon=True)
            for seed in range(CALLERS)
        ]
        with self._starts:
            self._start()
            for caller in callers:
                caller.start()
            self._answered.wait(60)
            self._break(self._kill_and_restart)
            while not self.report.memory or time.monotonic() < ends:
                for fault in (
                    self._send_nonsense,
                    self._vanish,
                    self._roll_forward,
                    self._add_a_corrupt_version,
                    self._break_the_configuration,
                    self._roll_back,
                ):
                    self._break(fault)
                self.report.memory.append(memory(self._server.pid))
            self._stopped.set()
            for caller in callers:
                caller.join()
        return self.report

    def _break(self, fault: Callable[[], None]) -> None:
        answered = self.report.requests
        try:
            fault()
            # The server goes on answering.
            _wait_until(lambda: self.report.requests > answered)
        except (AssertionError, grpc.RpcError) as error:
            self.report.lost.append(f"{fault.__name__}: {error!r}")
        self.report.faults += 1

    def _call(self, seed: int) -> None:
        chosen = random.Random(seed)
        with Client(self._address, NAME) as client:
            client.check()
            self._answered.wait(60)
            while not self._stopped.is_set():
                images = chosen.sample(IMAGES, chosen.randint(1, 80))
                try:
                    scores = client.score(images)
                except UserError as error:
                    self.report.lost.append(str(error))
                    continue
                changed = sum(
                    self._expected[score.version][image]
                    != (score.fake_probability, score.verdict)
                    for image, score in zip(images, scores, strict=True)
                )
                with self._lock:
                    self.report.requests += 1
                    self.report.changed += changed

    def _start(self) -> None:
        self._server = self._starts.enter_context(
            served(self._config, self._root, self._port, by_stand_in=True)
        )

    def _kill_and_restart(self) -> None:
        self._server.kill()
        self._start()

    def _roll_forward(self) -> None:
        self._move(2, into=True)
        _wait_until(lambda: self._states().get(1) == State.END)

    def _roll_back(self) -> None:
        self._move(2, into=False)
        _wait_until(lambda: self._states().get(1) == State.AVAILABLE)

    def _add_a_corrupt_version(self) -> None:
        broken = self._spare / "3"
        shutil.copytree(self._root / NAME / "2", broken)
        graph = broken / "saved_model.pb"
        graph.write_bytes(graph.read_bytes()[:100])
        self._move(3, into=True)
        _wait_until(lambda: self._states().get(3) == State.END)
        assert self._states()[2] == State.AVAILABLE
        shutil.rmtree(self._root / NAME / "3")
        # The next one must be seen as new.
        time.sleep(1.5)

    def _break_the_configuration(self) -> None:
        good = self._config.read_text()
        for bad in ("config {", good * 2, good.replace("/models", "models")):
            self._config.write_text(bad)
            time.sleep(0.4)
        self._config.write_text(good)

    def _send_nonsense(self) -> None:
        with grpc.insecure_channel(self._address) as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            refused = grpc.StatusCode.INVALID_ARGUMENT
            for key, images in {
                # More than a batch holds, and another input.
                "image_bytes": IMAGES[:33],
                "pixels": IMAGES[:1],
            }.items():
                request = predict_pb2.PredictRequest()
                request.model_spec.name = NAME
                request.inputs[key].CopyFrom(from_strings(images))
                assert _code(stub.Predict, request) == refused
            request = predict_pb2.PredictRequest()
            assert _code(stub.Predict, request) == refused
            junk = channel.unary_unary(
                "/tensorflow.serving.PredictionService/Predict"
            )
            assert _code(junk, b"\xff" * 1000) == grpc.StatusCode.INTERNAL

    def _vanish(self) -> None:
        request = predict_pb2.PredictRequest()
        request.model_spec.name = NAME
        request.inputs["image_bytes"].CopyFrom(from_strings(IMAGES[:32]))
        for _ in range(20):
            with grpc.insecure_channel(self._address) as channel:
                stub = prediction_service_pb2_grpc.PredictionServiceStub(
                    channel
                )
                stub.Predict.future(request)
            with socket.create_connection(("127.0.0.1", self._port)) as other:
                other.sendall(b"GET / HTTP/1.1\r\n")

    def _states(self) -> dict[int, State]:
        with grpc.insecure_channel(self._address) as channel:
            found = model_status(channel, NAME, timeout=5.0)
        return {each.version: each.state for each in found}

    def _save(self, version: int) -> None:
        number = tf.constant(version, tf.int64)
        outputs = _answer(tf.constant(IMAGES), number)
        self._expected[version] = dict(
            zip(
                IMAGES,
                zip(
                    outputs["fake_probability"].numpy().tolist(),
                    (text.decode() for text in outputs["verdict"].numpy()),
                    strict=True,
                ),
                strict=True,
            )
        )

        @tf.function(input_signature=_answer.input_signature[:1])
        def answer(image_bytes):
            return _answer(image_bytes, number)

        folder = str(self._spare / str(version))
        tf.saved_model.save(tf.Module(), folder, {"serving_default": answer})

    def _move(self, version: int, into: bool) -> None:
        folders = [self._spare, self._root / NAME]
        source, target = folders if into else reversed(folders)
        (source / str(version)).rename(target / str(version))


def _code(method, request) -> grpc.StatusCode:
    try:
        method(request, timeout=10)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + _NOTICED_SECONDS
    while not condition():
        assert time.monotonic() < ends, "It took too long."
        time.sleep(0.05)
