"""How many pictures a second a served detector answers, and how soon.

  python benchmarks/serving.py
  python benchmarks/serving.py --export=saved_models/clip --seconds=10
  python benchmarks/serving.py --memory --model=clip
  python benchmarks/serving.py --soak_seconds=60

Callers send requests on this machine, each the next one as soon as the last is
answered, to the local stand-in, to the same SavedModel in this process, and,
where `tensorflow_model_server` is on PATH, to that, with and without batching.
All share the cores. Without --export the detector is --model, with random
weights. With --memory it measures the memory of a version instead, as
`dfk.export --memory` does for its card. With --soak_seconds it measures
nothing: it lets all that can go wrong happen to the stand-in, and counts what
was lost.
"""

import contextlib
import io
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from absl import app, flags, logging

from dfk import cli

FLAGS = flags.FLAGS

flags.DEFINE_string(
    "export", None, "Folder of a model's versions, or of one version."
)
flags.DEFINE_string(
    "model",
    "cnn",
    "The detector to build, with random weights, if no --export.",
)
flags.DEFINE_multi_integer("concurrency", [1, 8], "Callers at once.")
flags.DEFINE_multi_integer("images", [1, 8, 32], "Pictures a request.")
flags.DEFINE_float("seconds", 2.0, "Seconds of each measurement.")
flags.DEFINE_bool("memory", False, "Measure memory instead.")
flags.DEFINE_float("soak_seconds", None, "Seconds of faults, instead.")

NAME = "measured"
SIDE = 256
SERVING = Path(__file__).parents[1] / "serving"
Ask = Callable[[list[bytes]], list]


def main(_):
    """Measures each server, and prints a table."""
    cli.start_tensorflow()
    logging.set_verbosity(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        if FLAGS.soak_seconds is not None:
            sys.exit(_soak(Path(folder)))
        if FLAGS.memory:
            _measure_memory(Path(folder))
        else:
            _measure_all(Path(folder))


def _soak(folder: Path) -> int:
    from soak import Soak

    report = Soak(folder).run(FLAGS.soak_seconds)
    print(f"requests {report.requests}, faults {report.faults}")
    print(f"losses {len(report.lost)}, changed answers {report.changed}")
    print(f"memory of the server in MiB, by rounds: {report.memory}")
    for loss in report.lost:
        print(f"lost: {loss}", file=sys.stderr)
    return not report.is_good


def _measure_memory(folder: Path) -> None:
    from dfk.serving.footprint import footprint

    _, version = _place(folder)
    found = footprint(version)
    print("resident memory of a process that serves, in MiB")
    print(f"without any detector {found.empty}")
    print(f"with a version that has answered {found.serving}")
    print(f"with two, as in a roll {found.rolling}")


def _measure_all(folder: Path) -> None:
    config, version = _place(folder)
    images = _pictures(max(FLAGS.images))
    best = {}
    differences = []
    expected = None
    print("server              images  callers  images/s    p50    p95    p99")
    for name, server in _servers(config, version).items():
        with server as ask:
            # The first requests trace the graph or connect.
            scores = [ask(images[:number]) for number in FLAGS.images][-1]
            expected = expected or scores
            differences += [
                abs(a.fake_probability - b.fake_probability)
                for a, b in zip(scores, expected, strict=True)
            ]
            for number in FLAGS.images:
                for callers in FLAGS.concurrency:
                    rate, seconds = _measure(ask, images[:number], callers)
                    best[name] = max(best.get(name, 0.0), rate)
                    quantiles = np.quantile(seconds, [0.5, 0.95, 0.99])
                    cells = [f"{q * 1000:7.0f}" for q in quantiles]
                    print(
                        f"{name:20}{number:6}{callers:9}{rate:10.1f}"
                        f"{''.join(cells)}",
                        flush=True,
                    )
    print("p50, p95 and p99 in milliseconds of a request")
    print(f"largest difference of a probability {max(differences):.1e}")
    for name, rate in best.items():
        print(f"{name}: ratio {rate / best['in process']:.2f}")


def _place(folder: Path) -> tuple[Path, Path]:
    """A models.config with its settings, and the version it serves."""
    from dfk.prediction.exported import is_export, scan_versions
    from dfk.serving import model_config

    if FLAGS.export is None:
        version = _random_export(folder)
    else:
        version = Path(FLAGS.export).absolute()
        if not is_export(version):
            version = scan_versions(version)[max(scan_versions(version))]
    served, settings = folder / "served", folder / "serving"
    (served / NAME).mkdir(parents=True)
    (served / NAME / "1").symlink_to(version)
    model_config.add(settings / "models.config", NAME)
    shutil.copy(SERVING / "batching.config", settings)
    return settings / "models.config", version


def _random_export(folder: Path) -> Path:
    from dfk import models
    from dfk.runs import Run
    from dfk.serving.export import export

    run = folder / "run"
    run.mkdir()
    Run(run).write_config({"model": FLAGS.model, "image_size": 128})
    models.build(FLAGS.model, 128, "none").save(run / "model.keras")
    return export(run, folder / "exported", config=folder / "unused.config")


def _pictures(count: int) -> list[bytes]:
    """JPEG files of coarse noise, which is as hard to decode as a photo."""
    from PIL import Image

    random = np.random.default_rng(0)
    files = []
    for _ in range(count):
        coarse = random.integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((SIDE, SIDE)).save(file, "jpeg")
        files.append(file.getvalue())
    return files


def _servers(config: Path, version: Path) -> dict:
    """What can be asked, by name; each a context that gives how to ask."""
    from dfk.serving import model_server

    servers = {
        "in process": _in_process(version),
        "stand-in": _served(config, by_stand_in=True),
    }
    if shutil.which(model_server.PROGRAM):
        alone = config.parent.with_name("without_batching")
        alone.mkdir()
        shutil.copy(config, alone)
        servers["model server"] = _served(config, by_stand_in=False)
        servers["without batching"] = _served(
            alone / config.name, by_stand_in=False
        )
    return servers


@contextlib.contextmanager
def _in_process(version: Path) -> Iterator[Ask]:
    import dfk

    yield dfk.load(version)._score_batch


@contextlib.contextmanager
def _served(config: Path, by_stand_in: bool) -> Iterator[Ask]:
    from served import free_port, served

    from dfk.serving.client import Client

    port = free_port()
    with (
        served(config, config.parent.parent / "served", port, by_stand_in),
        Client(f"127.0.0.1:{port}", NAME, concurrency=1) as client,
    ):
        yield client.score


def _measure(
    ask: Ask, images: list[bytes], callers: int
) -> tuple[float, list[float]]:
    """Images a second, and how long each request took."""
    taken = []
    started = time.perf_counter()

    def call() -> None:
        while time.perf_counter() < started + FLAGS.seconds:
            asked = time.perf_counter()
            ask(images)
            taken.append(time.perf_counter() - asked)

    threads = [threading.Thread(target=call) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(taken) * len(images) / (time.perf_counter() - started)
    return rate, taken


if __name__ == "__main__":
    app.run(main)
