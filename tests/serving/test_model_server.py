"""The files that an operator mounts, and how the model server is started."""

import os
import subprocess
import sys
from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

SERVING = Path(__file__).parents[2] / "serving"


def test_the_committed_config_lists_nothing_yet_or_container_paths():
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((SERVING / "models.config").read_text(), config)
    assert config.WhichOneof("config") == "model_config_list"
    for model in config.model_config_list.config:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"


def test_an_installed_model_server_is_started_with_local_paths(place):
    # It only says how it was called: the real one comes as a Docker image.
    programs = place / "bin"
    programs.mkdir()
    program = programs / "tensorflow_model_server"
    program.write_text(
        '#!/bin/sh\nfor a in "$@"; do echo "$a"; done\n'
        'for a in "$@"; do case $a in --model_config_file=*)\n'
        'cat "${a#*=}"; rm "${a#*=}";; esac; done\n'
    )
    program.chmod(0o755)
    for name in ("batching.config", "monitoring.config"):
        (place / name).write_bytes((SERVING / name).read_bytes())
    done = subprocess.run(
        [
            sys.executable,
            *("-m", "dfk.serve", "--port=8600"),
            f"--config={place / 'models.config'}",
            f"--models_root={place / 'saved_models'}",
        ],
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    for line in (
        "--port=8600",
        "--enable_batching=true",
        f"--batching_parameters_file={place / 'batching.config'}",
        "--rest_api_port=8601",
        f"--monitoring_config_file={place / 'monitoring.config'}",
        "--allow_version_labels_for_unavailable_models=true",
        f'base_path: "{place / "saved_models/tiny"}"',
    ):
        assert line in lines
