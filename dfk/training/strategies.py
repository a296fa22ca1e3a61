"""The devices of a run, and what its workers must agree on."""

import contextlib
import functools
import os
import signal
from collections.abc import Iterator

import tensorflow as tf

from dfk.errors import UserError
from dfk.training import cluster

# How long a worker waits for the others.
WAIT_SECONDS = 600.0
STRATEGIES = ("auto", "one_device", "mirrored", "multi_worker")


def choose(name: str = "auto") -> tf.distribute.Strategy:
    """Picks a distribution strategy.

    Args:
        name: `auto` mirrors over all visible GPUs, or uses the only device;
            `one_device` uses the first GPU or the CPU; `mirrored` mirrors over
            the GPUs, or without any over the logical CPUs; `multi_worker` is
            for one of several processes, which `TF_CONFIG` describes.

    Returns:
        The strategy. GPU memory is set to grow as needed.

    Raises:
        UserError: an unknown name, or `multi_worker` with a wrong `TF_CONFIG`
            or without all of its workers.
    """
    if name not in STRATEGIES:
        raise UserError(
            f"--strategy={name} is unknown: pass one of "
            f"{', '.join(STRATEGIES)}."
        )
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if name == "multi_worker":
        return _multi_worker()
    if name == "mirrored" or (name == "auto" and len(gpus) > 1):
        devices = tf.config.list_logical_devices("GPU" if gpus else "CPU")
        return tf.distribute.MirroredStrategy([d.name for d in devices])
    return tf.distribute.get_strategy()


@functools.cache
def _multi_worker() -> tf.distribute.Strategy:
    """One a process: its server listens until the process ends."""
    description = os.environ.get("TF_CONFIG")
    if description is None:
        raise UserError(
            "--strategy=multi_worker needs the environment variable "
            f"TF_CONFIG, which names all workers: see {cluster.GUIDE}."
        )
    workers = cluster.parse(description)
    cluster.wait_for_workers(workers, WAIT_SECONDS)
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    # TensorFlow has taken SIGTERM for itself.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    return strategy


@contextlib.contextmanager
def lost_workers(strategy: tf.distribute.Strategy) -> Iterator[None]:
    """Turns the error of a worker whose peer has gone into a sentence.

    Raises:
        UserError: a worker has gone.
    """
    try:
        yield
    except tf.errors.OpError as error:
        if strategy.cluster_resolver is None:
            raise
        reason = str(error.message).strip().splitlines()[0]
        raise UserError(
            f"A worker has gone ({reason}): start all workers again with the "
            "same command, and the run goes on after its last whole epoch."
        ) from error


def describe(strategy: tf.distribute.Strategy) -> str:
    """The number and kind of a strategy's devices.

    Example:
        >>> describe(choose("one_device"))
        '1 CPU'
    """
    kind = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
    replicas = strategy.num_replicas_in_sync
    return f"{replicas} {kind}{'s' if replicas > 1 else ''}"


def require_equal_shares(
    strategy: tf.distribute.Strategy, batch_size: int
) -> None:
    """Refuses a batch that the devices cannot share equally.

    Raises:
        UserError: some would get more images than others.
    """
    if batch_size % strategy.num_replicas_in_sync:
        raise UserError(
            f"{batch_size} pictures a step cannot be shared equally by "
            f"{describe(strategy)}: pass another --batch_size."
        )


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Whether this process writes the run's files."""
    resolver = strategy.cluster_resolver
    if resolver is None:
        return True
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def agree(strategy: tf.distribute.Strategy, value):
    """The mean of a value over all replicas, which is the same on each.

    Workers compute validation metrics and frozen features on their own, and
    may differ by rounding. Decisions about the run must not.

    Args:
        strategy: the run's strategy.
        value: float or float32 array, this worker's.

    Returns:
        NumPy float32 scalar or array.
    """
    tensor = tf.convert_to_tensor(value, tf.float32)
    if strategy.num_replicas_in_sync == 1:
        return tensor.numpy()
    values = strategy.run(tf.identity, args=(tensor,))
    return strategy.reduce("MEAN", values, axis=None).numpy()
