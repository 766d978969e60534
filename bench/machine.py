"""The machine and the versions that figures belong to.

Law: facts that mean something elsewhere: no names of hosts, no paths.
"""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from bench import yardstick

#: Packages on which the figures depend.
PACKAGES = ("websockets", "uvloop", "msgspec", "dramatiq", "redis", "Django", "psycopg")


def describe() -> dict[str, str]:
    """What to print above a table."""
    load = os.getloadavg()
    return {
        "cpu": f"{os.cpu_count()} × {_model()}",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        "yardstick": _yardstick(),
        "load": f"{load[0]:.1f} at the start (1 minute), {load[2]:.1f} (15 minutes)",
    }


def _yardstick() -> str:
    return f"{yardstick.lookups():.1f} million lookups a second, {yardstick.round_trip():.0f} µs to a process and back"


def _model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
