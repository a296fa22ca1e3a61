"""The client with TLS, certificates and tokens, against a real server."""

import json
import subprocess
import sys
from concurrent import futures

import grpc
import pytest
from echo import Echo, answering

from dfk.errors import UserError
from dfk.serving.channel import tls
from dfk.serving.client import Client


class Pems:
    """A certificate that is its own authority, and its key."""

    def __init__(self, folder, name):
        self.cert = str(folder / "cert.pem")
        self.key = str(folder / "key.pem")
        command = (
            "openssl req -x509 -nodes -days 2 -newkey rsa:2048 "
            f"-subj /CN={name} -addext subjectAltName={name} "
            f"-out {self.cert} -keyout {self.key}"
        )
        subprocess.run(command.split(), check=True, capture_output=True)

    def server(self, asks=False):
        """What a server needs, which may ask clients for a certificate."""
        with open(self.cert, "rb") as cert, open(self.key, "rb") as key:
            pair = (key.read(), cert.read())
        return grpc.ssl_server_credentials(
            [pair], pair[1] if asks else None, asks
        )


@pytest.fixture(scope="module")
def pems(tmp_path_factory):
    return Pems(tmp_path_factory.mktemp("pems"), "IP:127.0.0.1")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    return Pems(tmp_path_factory.mktemp("other"), "DNS:elsewhere")


def test_an_encrypted_connection(pems):
    with answering(Echo(), pems.server()) as address:
        credentials = tls(ca=pems.cert)
        with Client(address, "any", credentials=credentials) as client:
            assert client.score([b"1"])[0].fake_probability == 1


def test_a_client_shows_its_certificate(pems):
    with answering(Echo(), pems.server(asks=True)) as address:
        credentials = tls(pems.cert, pems.cert, pems.key)
        with Client(address, "any", credentials=credentials) as client:
            assert client.score([b"1"])[0].fake_probability == 1


def test_what_keeps_two_apart_is_said(pems, other):
    secure, asking = pems.server(), pems.server(asks=True)
    cases = [
        (secure, None, "ends every connection: if it speaks TLS, pass --tls"),
        (secure, tls(), "certificate of an unknown authority: pass --ca"),
        (None, tls(), "does not speak TLS: leave"),
        (other.server(), tls(other.cert), "for another name"),
        (asking, tls(pems.cert), "--cert and --key if it asks"),
    ]

    def check(server, credentials, message):
        with (
            answering(Echo(), server) as address,
            Client(address, "any", credentials=credentials) as client,
            pytest.raises(UserError, match=message),
        ):
            client.score([b"1"])

    # gRPC tries for three seconds each.
    with futures.ThreadPoolExecutor(len(cases)) as pool:
        list(pool.map(check, *zip(*cases, strict=True)))


def test_files_that_do_not_fit_are_refused(pems, other, tmp_path):
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for files in (
        ("/nowhere/ca.pem",),
        (str(junk),),
        (None, pems.cert, other.key),
        (None, pems.cert, str(junk)),
    ):
        with pytest.raises(UserError, match="for TLS cannot be used") as caught:
            tls(*files)
        assert files[-1] in str(caught.value)
    with pytest.raises(UserError, match="pass both --cert and --key"):
        tls(key=pems.key)


def test_metadata_goes_with_each_request():
    echo = Echo()
    tokens = [("Authorization", "Bearer 123"), ("x-team", "a=b")]
    with (
        answering(echo) as address,
        Client(address, "any", metadata=tokens) as client,
    ):
        client.score([b"1"])
    (received,) = echo.metadata
    assert received["authorization"] == "Bearer 123"
    assert received["x-team"] == "a=b"


@pytest.mark.parametrize(
    ("name", "value"), [("a b", "x"), ("", "x"), ("a", "é"), ("a-bin", "x")]
)
def test_metadata_that_is_not_sent_is_refused_unshown(name, value):
    with pytest.raises(
        UserError, match=f"Received: the name '{name}'"
    ) as error:
        Client("localhost:1", metadata=[(name, f"secret {value}")])
    assert "secret" not in str(error.value)


def test_the_command_takes_all_of_it(pems, tmp_path):
    (tmp_path / "1").write_text("1")
    echo = Echo()
    with answering(echo, pems.server(asks=True)) as address:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "dfk.query", "1", "--crop=none"),
                *(f"--server={address}", "--model=any", "--json"),
                *(f"--ca={pems.cert}", f"--cert={pems.cert}"),
                *(f"--key={pems.key}", "--metadata=authorization=Bearer 1=2"),
            ],
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["fake_probability"] == 1
    assert echo.metadata[0]["authorization"] == "Bearer 1=2"
