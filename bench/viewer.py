"""`python -m bench.viewer URL TOKEN COUNT LAST PATIENCE`: so many viewers of the map's stream.

Law: prints `ready` once all have their snapshot, and at the end, when each has seen the name LAST or PATIENCE seconds
have passed, one line of JSON: for each viewer {name: seconds since 1970 at which it was first seen}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import msgspec
import uvloop
from websockets.asyncio.client import ClientConnection, connect

_decode = msgspec.json.Decoder().decode


async def _begin(url: str, token: str) -> ClientConnection:
    link = await connect(url, max_size=None, compression=None)
    await link.send(json.dumps({"token": token}))
    while _decode(await link.recv())["type"] != "snapshot":
        pass
    return link


async def _watch(link: ClientConnection, last: str, seen: dict[str, float]) -> None:
    while last not in seen:
        frame = _decode(await link.recv())
        if frame["type"] != "diff":
            continue
        now, upserts = time.time(), frame["upserts"]
        if isinstance(upserts, dict):
            place = upserts["columns"].index("name")
            names = [row[place] for row in upserts["rows"]]
        else:
            names = [item["name"] for item in upserts]
        for name in names:
            seen.setdefault(name, now)


async def main(url: str, token: str, count: int, last: str, patience: float) -> None:
    """Watch, and tell."""
    links = await asyncio.gather(*(_begin(url, token) for _ in range(count)))
    print("ready", flush=True)
    seen: list[dict[str, float]] = [{} for _ in links]
    watching = [asyncio.create_task(_watch(link, last, one)) for link, one in zip(links, seen, strict=True)]
    await asyncio.wait(watching, timeout=patience)
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5])))
