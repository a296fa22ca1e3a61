"""Where measured numbers come from: versions, machine and time."""

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import dfk


def provenance() -> dict[str, str | dict[str, str]]:
    """Versions, machine and time, to be written beside measured numbers.

    Returns:
        `versions` by package, a description of the `machine`, and the `time`
        in UTC.

    Example:
        >>> provenance()["machine"]
        'Intel(R) Xeon(R) Processor, 2 cores'
    """
    import keras
    import tensorflow as tf

    return {
        "versions": {
            "python": platform.python_version(),
            "dfk": dfk.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "machine": machine(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def machine() -> str:
    """A short description of this machine: processor, cores and GPUs."""
    import tensorflow as tf

    cores = _cores()
    parts = [_processor(), f"{cores} core{'s' if cores > 1 else ''}"]
    for gpu in tf.config.list_physical_devices("GPU"):
        details = tf.config.experimental.get_device_details(gpu)
        parts.append(details.get("device_name", "a GPU"))
    return ", ".join(parts)


def _cores() -> int:
    """How many cores this process may use, which may not be all."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    # Python itself only knows the architecture on Linux.
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
