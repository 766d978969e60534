"""Waiting until the read model shows what an agent has acknowledged.

Law: a version counts as observed once its rows are committed. The observer's announcement on the broker only wakes
whoever waits and spares a query; the database is the truth and is asked again at intervals in case an announcement was
lost. Nobody who waits holds a database connection meanwhile.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from functools import cache

import msgspec
import redis
from django.conf import settings
from django.db import connection

from registry.models import ObservedVersion
from registry.stream import OBSERVED

logger = logging.getLogger(__name__)

#: Seconds to wait for an announcement before the database is asked at all.
AT_ONCE = 0.02
#: Seconds between two looks into the database while waiting.
POLL = 0.25
#: An observer that has not renewed its term for so many seconds is away.
AWAY_AFTER = 5.0
#: Seconds for which one process believes what it last saw of the term.
BELIEVE_TERM = 0.5
#: Seconds between two attempts to reach the broker.
RECONNECT = 1.0
#: Versions remembered; beyond this all are forgotten and asked of the database again.
MAX_REMEMBERED = 10_000

#: What `observer_age` reads, to be a column of another question; null where it is None.
OBSERVER_AGE = """(
    SELECT greatest(0, extract(epoch FROM clock_timestamp() - renewed_at))::float8 FROM registry_observerterm
    WHERE holder <> '' ORDER BY id LIMIT 1)"""

Versions = Mapping[tuple[str, str], int]


class Announcements:
    """The newest version of each (sworm, origin) known to be committed. One daemon thread listens; any thread waits."""

    def __init__(self, redis_url: str) -> None:
        self._url = redis_url
        self._versions: dict[tuple[str, str], int] = {}
        self._changed = threading.Condition()
        if redis_url:
            threading.Thread(target=self._run, name="observed", daemon=True).start()

    def has(self, wanted: Versions) -> bool:
        """Whether all of these were announced, or learned from the database."""
        return all(self._versions.get(key, 0) >= version for key, version in wanted.items())

    def learn(self, versions: Versions) -> None:
        """Take note of committed versions, and wake whoever waits."""
        with self._changed:
            if len(self._versions) > MAX_REMEMBERED:
                self._versions.clear()
            for key, version in versions.items():
                if version > self._versions.get(key, 0):
                    self._versions[key] = version
            self._changed.notify_all()

    def wait(self, wanted: Versions, timeout: float) -> bool:
        """Wait until all are known to be committed, for at most `timeout` seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: self.has(wanted), timeout)

    def _run(self) -> None:
        while True:
            try:
                self._listen()
            except (redis.RedisError, OSError) as error:
                logger.debug("announcements of the observer are not heard: %s", error)
                time.sleep(RECONNECT)

    def _listen(self) -> None:
        client = redis.Redis.from_url(self._url, socket_connect_timeout=2.0, health_check_interval=10)
        with client, client.pubsub(ignore_subscribe_messages=True) as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(OBSERVED)
            while True:
                message = pubsub.get_message(timeout=5.0)
                if message is not None:
                    self.learn(_announced(message["data"]))


def _announced(data: bytes) -> dict[tuple[str, str], int]:
    try:
        versions: dict[str, dict[str, int]] = msgspec.msgpack.decode(data)["versions"]
        return {(sworm, origin): number for sworm, origins in versions.items() for origin, number in origins.items()}
    except (msgspec.MsgspecError, KeyError, TypeError, AttributeError):
        logger.warning("an announcement on %s is not readable", OBSERVED)
        return {}


@cache
def announcements() -> Announcements:
    """The listener of this process, started at first use."""
    return Announcements(settings.REDIS_URL)


def wait_observed(sworm: str, origin: str, version: int, deadline: float) -> bool:
    """Wait until the read model holds `origin`'s map of `sworm` at `version` or later.

    `deadline` in seconds since 1970. False when it came first, or when no observer writes.
    """
    return wait_all_observed({(sworm, origin): version}, deadline)


def wait_all_observed(wanted: Versions, deadline: float) -> bool:
    """The same for several (sworm, origin) at once."""
    known = announcements()
    # As a rule the announcement comes before the database could have been asked.
    if known.wait(wanted, min(AT_ONCE, max(0.0, deadline - time.time()))):
        return True
    while not known.has(wanted):
        known.learn(_committed(wanted))
        if known.has(wanted):
            break
        left = deadline - time.time()
        if left <= 0 or not observer_writes():
            return False
        connection.close()  # back to the pool: whoever waits needs none
        known.wait(wanted, min(POLL, left))
    return True


def _committed(wanted: Versions) -> dict[tuple[str, str], int]:
    rows = ObservedVersion.objects.filter(
        sworm__in={sworm for sworm, _ in wanted}, origin__in={origin for _, origin in wanted}
    )
    return {(sworm, origin): version for sworm, origin, version in rows.values_list("sworm", "origin", "version")}


class _Term:
    """What this process last saw of the observer's term."""

    looked_at = 0.0
    writes = False


def observer_writes() -> bool:
    """Whether an observer renewed its term within the last seconds."""
    if time.monotonic() - _Term.looked_at > BELIEVE_TERM:
        learn_age(observer_age())
    return _Term.writes


def learn_age(age: float | None) -> None:
    """Somebody has just read `OBSERVER_AGE` together with something else: no look of its own is needed for a while."""
    _Term.writes = age is not None and age <= AWAY_AFTER
    _Term.looked_at = time.monotonic()


def observer_age() -> float | None:
    """Seconds since an observer renewed its term; None when there never was one."""
    # Without a holder the term was released: its observer ended in order.
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {OBSERVER_AGE}")
        age: float | None = cursor.fetchone()[0]
    return age
