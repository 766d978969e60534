"""An agent whose network a test can cut: the real one, but for dials and connections to nodes that it must not reach.

Law: the file named by CUT_FILE lists, for each node, the names and ports of those it is cut off from; it is read
again and again. A connection to one of them ends at once, and none is made. Nothing else of the agent is touched, and
the pages on its port are served as before.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from manage import main  # noqa: E402
from registry.core.ids import node_of  # noqa: E402
from registry.mesh.protocol import UNREACHABLE  # noqa: E402
from registry.mesh.websocket import WebSocketMesh  # noqa: E402

NAME = sys.argv[sys.argv.index("--name") + 1]
FILE = Path(os.environ["CUT_FILE"])

#: Seconds between two looks at the file.
EVERY = 0.03

meshes: list[tuple[asyncio.AbstractEventLoop, WebSocketMesh]] = []
cut: dict[str, int] = {}  # name -> port of those that are out of reach


def read() -> dict[str, int]:
    """Whom this node must not reach now."""
    return dict(json.loads(FILE.read_text()).get(NAME, {})) if FILE.exists() else {}


def sever(mesh: WebSocketMesh) -> None:
    """End the connections to nodes out of reach."""
    for socket in list(mesh.sockets):
        hello = socket._link.hello if socket._link is not None else None
        if hello is not None and node_of(hello.origin) in cut and socket._transport is not None:
            socket._transport.abort()


def watch() -> None:
    """Follow the file for as long as the agent lives."""
    while True:
        barred = read()
        cut.update(barred)
        for name in cut.keys() - barred:
            del cut[name]
        for loop, mesh in meshes if cut else ():
            if not loop.is_closed():
                loop.call_soon_threadsafe(sever, mesh)
        time.sleep(EVERY)


def dial(self: WebSocketMesh, url: str, link: Any) -> None:
    """`WebSocketMesh._dial`, but to nobody out of reach."""
    if urlsplit(url).port in cut.values():
        asyncio.get_running_loop().call_soon(link.failed, False, f"{UNREACHABLE}: {url} is cut off")
    else:
        real_dial(self, url, link)


def start(self: WebSocketMesh) -> None:
    """`WebSocketMesh._start`, and remember the loop that it runs on."""
    real_start(self)
    if all(mesh is not self for _, mesh in meshes):
        meshes.append((asyncio.get_running_loop(), self))


real_dial, real_start = WebSocketMesh._dial, WebSocketMesh._start

if __name__ == "__main__":
    WebSocketMesh._dial, WebSocketMesh._start = dial, start  # type: ignore[method-assign]
    threading.Thread(target=watch, daemon=True).start()
    main()
