"""Finds the first peers: dials the URLs to join until each has answered once, and again whenever there is nobody.

Law: a URL is *tried* once its first dial came to an end, either way, and *reached* once a link came of it; one whose
node is there and keeps this one out is neither, so that nobody founds a cluster beside the one that it belongs to.
`joined` is told once, when every URL was tried, or `PATIENCE` after a first link stands, because that peer's directory
names all others. A URL that was never reached is dialled on, so that two halves which started apart find each other;
one that was is left to the directory as long as any peer is there. Runs on the mesh's loop; nothing here blocks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from registry.core.ids import Origin

#: Seconds between dials of a URL that does not answer: the first is short because a cluster's parts start together.
FIRST_PAUSE, LAST_PAUSE = 0.1, 2.0

#: Seconds that a URL which neither answers nor refuses may delay joining once another one has answered.
PATIENCE = 1.0


@dataclass(frozen=True)
class Pauses:
    """The times of a search, in seconds; see the numbers above."""

    first: float = FIRST_PAUSE
    last: float = LAST_PAUSE
    patience: float = PATIENCE


class Dials(Protocol):
    """The part of a mesh that joining needs."""

    def connect(self, url: str, origin: Origin | None = None) -> None:
        """As in `registry.mesh.protocol.Mesh`."""

    def links(self) -> set[Origin]:
        """As in `registry.mesh.protocol.Mesh`."""


class Joining:
    """The URLs to join, and how far each has come."""

    def __init__(
        self, mesh: Dials, urls: Iterable[str], joined: Callable[[], None], pauses: Pauses | None = None
    ) -> None:
        self._mesh = mesh
        self._times = pauses or Pauses()
        self._joined: Callable[[], None] | None = joined
        self._urls = list(dict.fromkeys(urls))
        self._untried = set(self._urls)
        self._reached: set[str] = set()
        self._pauses = dict.fromkeys(self._urls, self._times.first)
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._patience: asyncio.TimerHandle | None = None
        self._stopped = False

    def start(self) -> None:
        """Dial every URL for the first time."""
        for url in self._urls:
            self._mesh.connect(url)
        self._check()

    def stop(self) -> None:
        """Dial no more."""
        self._stopped = True
        for timer in self._timers.values():
            timer.cancel()
        if self._patience:
            self._patience.cancel()

    def link_up(self, url: str) -> None:
        """A link to the node that says it is found at `url` stands."""
        self._settle(url)
        # It may have answered under another spelling of its address; a repeated dial tells which one ("duplicate").
        for other in list(self._untried):
            self._mesh.connect(other)
        if self._patience is None and self._untried:
            self._patience = asyncio.get_running_loop().call_later(self._times.patience, self._lose_patience)

    def link_down(self) -> None:
        """A link is gone; with the last one, the search starts again."""
        if self._mesh.links() or self._stopped:
            return
        for url in self._urls:
            self._pauses[url] = self._times.first
            self._later(url)

    def failed(self, url: str, reached: bool, ourselves: bool, kept_out: bool = False) -> None:
        """A dial came to nothing, or found a peer that is linked (`reached`), or this node itself (`ourselves`), or a
        peer that lets this node in as soon as something is mended (`kept_out`).
        """
        if url not in self._pauses:
            return
        if ourselves:
            self._urls.remove(url)
            del self._pauses[url]
        if ourselves or reached:
            self._settle(url)
            return
        if not kept_out:
            self._untried.discard(url)
            self._check()
        self._later(url)

    def _settle(self, url: str) -> None:
        if url in self._pauses:
            self._reached.add(url)
        self._untried.discard(url)
        self._check()

    def _check(self) -> None:
        if self._joined and not self._untried:
            told, self._joined = self._joined, None
            told()

    def _lose_patience(self) -> None:
        self._untried.clear()
        self._check()

    def _later(self, url: str) -> None:
        if url in self._timers or self._stopped:
            return
        pause = self._pauses[url]
        self._pauses[url] = min(self._times.last, pause * 2)
        self._timers[url] = asyncio.get_running_loop().call_later(pause, self._again, url)

    def _again(self, url: str) -> None:
        del self._timers[url]
        if url in self._pauses and (url not in self._reached or not self._mesh.links()):
            self._mesh.connect(url)
