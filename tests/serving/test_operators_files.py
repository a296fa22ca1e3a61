"""The files in `serving/` say what the programs that read them understand."""

from pathlib import Path

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)

from dfk.serving import model_config
from dfk.serving.client import Client
from dfk.serving.protobufs import model_server_config_pb2

SERVING = Path(__file__).parents[2] / "serving"
Field = descriptor_pb2.FieldDescriptorProto
INT, TEXT = (
    f".{kind.DESCRIPTOR.full_name}"
    for kind in (wrappers_pb2.Int64Value, wrappers_pb2.StringValue)
)
# Of session_bundle_config.proto and monitoring_config.proto, whose classes are
# in no package: each field with its type, repeated or not.
MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": INT,
        "batch_timeout_micros": INT,
        "max_enqueued_batches": INT,
        "num_batch_threads": INT,
        "thread_pool_name": TEXT,
        "allowed_batch_sizes": Field.TYPE_INT64,
        "pad_variable_length_inputs": Field.TYPE_BOOL,
    },
    "PrometheusConfig": {
        "enable": Field.TYPE_BOOL,
        "path": Field.TYPE_STRING,
    },
    "MonitoringConfig": {"prometheus_config": ".PrometheusConfig"},
}
REPEATED = {"allowed_batch_sizes"}


@pytest.fixture(scope="module")
def parsed():
    """Reads a file of the name in the text format of a message."""
    file = descriptor_pb2.FileDescriptorProto(
        name="operators.proto", dependency=["google/protobuf/wrappers.proto"]
    )
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            message.field.add(
                name=field,
                number=number,
                label=Field.LABEL_REPEATED
                if field in REPEATED
                else Field.LABEL_OPTIONAL,
                **{"type_name" if isinstance(kind, str) else "type": kind},
            )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())

    def parsed(name, message):
        found = pool.FindMessageTypeByName(message)
        empty = message_factory.GetMessageClass(found)()
        return text_format.Parse((SERVING / name).read_text(), empty)

    return parsed


def documents(name):
    return list(yaml.safe_load_all((SERVING / name).read_text()))


@pytest.fixture(scope="module")
def compose():
    return documents("compose.yaml")[0]


@pytest.fixture(scope="module")
def deployment():
    return documents("kubernetes.yaml")[0]


@pytest.fixture(scope="module")
def container(deployment):
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return container


def test_batches_are_as_large_as_a_clients_requests(parsed):
    batching = parsed("batching.config", "BatchingParameters")
    assert batching.max_batch_size.value == Client.batch_size
    assert batching.num_batch_threads.value > 0
    # Without padding, these would only refuse.
    assert not batching.allowed_batch_sizes


def test_prometheus_reads_what_the_server_offers(parsed, compose):
    metrics = parsed("monitoring.config", "MonitoringConfig").prometheus_config
    assert metrics.enable
    (job,) = documents("prometheus.yaml")[0]["scrape_configs"]
    assert job["metrics_path"] == metrics.path
    ((target,),) = (s["targets"] for s in job["static_configs"])
    service, port = target.split(":")
    assert f"--rest_api_port={port}" in compose["services"][service]["command"]


def test_a_model_that_the_readme_shows_is_taken(tmp_path):
    readme = (SERVING / "README.md").read_text()
    (shown,) = (b for b in readme.split("```") if b.startswith("\nconfig {"))
    file = tmp_path / "models.config"
    file.write_text(f"model_config_list {{ {shown} }}")
    (model,) = model_config.read(file).model_config_list.config
    assert isinstance(model, model_server_config_pb2.ModelConfig)
    assert dict(model.version_labels) == {"stable": 2, "canary": 3}


def test_both_ways_start_the_server_alike(compose, container):
    composed = compose["services"]["serving"]
    assert container["image"] == composed["image"]
    assert container["args"] == [
        *composed["command"],
        "--enable_grpc_healthcheck_service=true",
    ]
    for flag in ("--max_num_load_retries=0", "--grpc_max_threads=64"):
        assert flag in composed["command"]


def test_what_is_composed_may_do_little(compose):
    for service in compose["services"].values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"]
        # Open to this machine only.
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")
        for volume in service["volumes"]:
            assert volume.endswith(":ro") or not volume.startswith(".")
    users = {n: s.get("user") for n, s in compose["services"].items()}
    # That of Prometheus is nobody by its image.
    assert users == {
        "serving": "65534:65534",
        "check": "65534:65534",
        "prometheus": None,
    }


def test_only_the_server_runs_unasked(compose):
    services = compose["services"].items()
    assert [n for n, s in services if "profiles" not in s] == ["serving"]


def test_the_check_is_a_command_of_ours(compose):
    check = compose["services"]["check"]
    command = check["healthcheck"]["test"]
    assert command[:5] == ["CMD", "python", "-m", "dfk.query", "--check"]
    # The model's name is looked up in the folder that is mounted there.
    assert check["volumes"] == [f"./:{check['working_dir']}/serving:ro"]


def test_what_kubernetes_runs_may_do_little(deployment, container):
    pod = deployment["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    limited = container["securityContext"]
    assert limited["readOnlyRootFilesystem"]
    assert not limited["allowPrivilegeEscalation"]
    assert limited["capabilities"]["drop"] == ["ALL"]
    assert container["resources"]["limits"]["memory"]
    mounts = {m["name"]: m.get("readOnly") for m in container["volumeMounts"]}
    assert mounts == {"models": True, "config": True, "tmp": None}
    assert mounts.keys() == {v["name"] for v in pod["volumes"]}


def test_kubernetes_asks_the_port_that_serves(deployment, container):
    ports = {p["name"]: p["containerPort"] for p in container["ports"]}
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["grpc"]["port"] == ports["grpc"]
    service = documents("kubernetes.yaml")[1]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"].items() <= labels.items()
    assert {p["targetPort"] for p in service["spec"]["ports"]} == set(ports)
