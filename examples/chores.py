"""A plain function that knows nothing of Sworm: it would run as well from a terminal.

Registered under a name it runs once in the whole cluster, in an operating-system process of its own. Whatever it
prints goes to the log of its node. When it raises, or its node dies, it is started again; when its node shuts down, it
is ended there and started elsewhere.
"""

from __future__ import annotations

import shutil
import time


def watch_disk(folder: str = "/", every: float = 60.0, at_least: float = 0.1) -> None:
    """Say so whenever less than the share `at_least` of the disk of `folder` is free; look every `every` seconds."""
    while True:
        usage = shutil.disk_usage(folder)
        if usage.free < at_least * usage.total:
            print(f"{folder} has {usage.free / usage.total:.0%} left", flush=True)  # noqa: T201 - that is its work
        time.sleep(every)
