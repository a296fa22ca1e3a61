import contextlib
import socket
import subprocess
import sys
import threading
import time

import grpc
import pytest
import tensorflow as tf
from echo import Echo, answering

import dfk
from dfk.errors import UserError
from dfk.serving import protobufs
from dfk.serving.client import Client
from dfk.serving.model_status import State
from dfk.serving.protobufs import predict_pb2, tensor_pb2
from dfk.serving.server import serving


@pytest.fixture(scope="module")
def address(place):
    with serving(
        place / "models.config", place / "saved_models", port=0
    ) as server:
        yield f"localhost:{server.port}"


def test_more_images_than_a_request_holds(address, images):
    many = [images[i % len(images)] for i in range(70)]
    with Client(address, "tiny") as client:
        scores = client.score(many)
        few = client.score(images)
        assert {score.version for score in scores} == {1}
    assert len(scores) == 70
    for score, expected in zip(scores[:6], few, strict=True):
        assert score.verdict == expected.verdict
        assert score.fake_probability == pytest.approx(
            expected.fake_probability, abs=1e-6
        )


def test_files_are_predicted(address, images, tmp_path):
    path = tmp_path / "face.png"
    path.write_bytes(images[0])
    with dfk.Client(address, model="tiny") as client:
        (score,) = client.score(images[:1])
        prediction, of_bytes = client.predict([path, images[0]], "none")
    assert prediction.image == str(path)
    assert (prediction.detector, prediction.version) == ("tiny", 1)
    assert prediction.verdict == of_bytes.verdict == score.verdict
    assert prediction.fake_probability == pytest.approx(
        score.fake_probability, abs=1e-6
    )


def test_a_request_larger_than_grpcs_limit(address):
    with Client(address, "tiny") as client:
        (prediction,) = client.predict([bytes(6 * 2**20)])
    assert prediction.verdict == "unreadable"
    assert prediction.fake_probability is None


def test_no_images_need_no_server():
    with Client("localhost:1", "tiny") as client:
        assert client.predict([]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "other"}, "serves no model 'other'"),
        ({"version": 7}, r"no version 7 of 'tiny': .* \(1\)"),
        (
            {"label": "canary"},
            r"no version of 'tiny' with .* 'canary': .* \(1\)",
        ),
        ({"model": "other", "label": "x"}, "serves no model 'other'"),
        ({"address": "localhost:1"}, "No model server answers at localhost:1"),
        ({"address": "nonsense"}, "No model server answers at nonsense"),
        ({"timeout": 1e-4}, "did not answer within 0.0001 seconds"),
    ],
)
def test_an_error_is_one_sentence(address, images, changes, message):
    arguments = {"address": address, "model": "tiny", **changes}
    with (
        Client(**arguments) as client,
        pytest.raises(UserError, match=message) as caught,
    ):
        client.predict(images, "none")
    assert "\n" not in str(caught.value)


def test_of_a_model_without_a_version_the_reasons_are_said(toy, images):
    with (
        serving(toy.config, toy.root, port=0) as server,
        Client(f"localhost:{server.port}", "toy") as client,
    ):
        toy.version(1).rename(toy.root / "elsewhere")
        while client._statuses()[0].state != State.END:
            time.sleep(0.05)
        with pytest.raises(UserError, match=r"answers .* \(version 1: END\)"):
            client.predict(images, "none")


def test_a_version_and_a_label_exclude_each_other(address):
    with pytest.raises(UserError, match="version 1 and label 'stable'"):
        Client(address, "tiny", version=1, label="stable")


def test_a_server_that_never_answers(images):
    with socket.create_server(("localhost", 0)) as silent:
        address = f"localhost:{silent.getsockname()[1]}"
        with (
            Client(address, "tiny", timeout=0.5) as client,
            pytest.raises(UserError, match="did not answer"),
        ):
            client.predict(images, "none")


def refusing(code, details):
    return answering(lambda _, context: context.abort(code, details))


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("UNAVAILABLE", r"cannot answer now \(the queue is full"),
        ("RESOURCE_EXHAUSTED", "too busy, .* again later, "),
        ("DEADLINE_EXCEEDED", "did not answer within 60 seconds"),
        ("INVALID_ARGUMENT", "exported by `python -m dfk.export`"),
        ("FAILED_PRECONDITION", "no signature for pictures"),
        ("UNIMPLEMENTED", "is no model server"),
        ("UNAUTHENTICATED", "who is calling"),
        ("PERMISSION_DENIED", "does not let you"),
        ("NOT_FOUND", "serves no model 'tiny'"),
        ("CANCELLED", "cancelled the request"),
        ("ABORTED", "gave the request up"),
        ("INTERNAL", "its own log.* INTERNAL: the queue is full"),
        ("DATA_LOSS", "its own log.* DATA_LOSS"),
    ],
)
def test_each_code_has_its_sentence(images, code, message):
    with (
        refusing(grpc.StatusCode[code], "the queue\nis full") as address,
        Client(address, "tiny") as client,
        pytest.raises(UserError, match=message) as caught,
    ):
        client.predict(images, "none")
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_server_that_starts_again_is_found_again(place, images):
    def start(port):
        config, root = place / "models.config", place / "saved_models"
        return serving(config, root, port=port)

    with contextlib.ExitStack() as stack:
        with start(0) as server:
            client = Client(f"localhost:{server.port}", "tiny")
            before = stack.enter_context(client).score(images)

        def again():
            time.sleep(0.5)
            stack.enter_context(start(server.port))

        thread = threading.Thread(target=again)
        thread.start()
        # Asked while nothing listens.
        after = client.score(images)
        thread.join()
    assert after == before


@pytest.mark.parametrize("texts", [["fake"], ["real", "", "unreadable" * 20]])
def test_packed_strings_are_read(texts):
    # As a server packs them with --enable_serialization_as_tensor_content.
    packed = tf.make_tensor_proto(tf.constant(texts))
    content = b"".join(_varint(len(text)) for text in texts)
    content += "".join(texts).encode()
    packed.string_val.clear()
    packed.tensor_content = content
    read = tf.io.parse_tensor(packed.SerializeToString(), tf.string).numpy()
    assert [text.decode() for text in read] == texts
    assert protobufs.to_strings(packed) == texts


def _varint(number):
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def test_packed_numbers_are_read():
    packed = tensor_pb2.TensorProto(tensor_content=b"\0\0\x80\x3f\0\0\0\x40")
    assert protobufs.to_floats(packed) == [1.0, 2.0]


def test_the_client_does_without_tensorflow_and_leaves_it_usable():
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, dfk, dfk.prediction.output\n"
            "dfk.Client('localhost:1').predict(['/no/such/file'])\n"
            "from dfk.serving.protobufs import tensor_pb2\n"
            "assert 'tensorflow' not in sys.modules\n"
            "assert 'numpy' not in sys.modules\n"
            "import tensorflow as tf\n"
            "made = tf.make_tensor_proto([1.5])\n"
            "assert type(made) is tensor_pb2.TensorProto\n"
            "assert tf.make_ndarray(made)[0] == 1.5\n",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def test_a_model_that_answers_something_else(images):
    response = predict_pb2.PredictResponse()
    response.outputs["scores"].CopyFrom(tf.make_tensor_proto([0.5]))

    with (
        answering(lambda *_: response.SerializeToString()) as address,
        Client(address, "other") as client,
        pytest.raises(UserError, match=r"'other' .* does not answer as a"),
    ):
        client.predict(images, "none")


def test_several_requests_are_under_way_and_answers_keep_their_order():
    # The earlier ones take longer.
    echo = Echo(slow=lambda image: 0.2 if int(image) < 64 else 0.0)
    images = [str(number).encode() for number in range(320)]
    with answering(echo) as address, Client(address, "any") as client:
        predictions = client.predict(images, "none")
    assert [p.fake_probability for p in predictions] == list(range(320))
    # Each with the version that answered it.
    assert [p.version for p in predictions] == [
        n // 32 * 32 for n in range(320)
    ]
    assert echo.most == 2


def test_answers_come_before_all_images_are_read():
    read = []

    def images():
        for number in range(1000):
            read.append(number)
            yield str(number).encode()

    with answering(Echo()) as address, Client(address, "any") as client:
        next(client.stream(images(), "none"))
    assert len(read) < 250


def test_large_images_go_in_requests_of_fewer():
    echo = Echo()
    with answering(echo) as address, Client(address, "any") as client:
        client.batch_bytes = 25
        assert len(client.score([b"1".zfill(10)] * 5)) == 5
    assert sorted(map(len, echo.requests)) == [1, 2, 2]
