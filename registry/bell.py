"""Bells: whoever wrote rows that the observer acts on has it look now rather than at its next turn.

Law: a bell carries nothing and may be lost: whoever listens looks at intervals anyway, so a broker that is away costs
only time.
"""

from __future__ import annotations

import logging
from functools import partial

import redis
from django.conf import settings
from django.db import transaction

logger = logging.getLogger(__name__)

#: The channels, by what was written.
DEFINITIONS, OPERATIONS = "sworm:definitions", "sworm:operations"

#: Seconds until a broker that does not answer is left alone.
TIMEOUT = 1.0


def ring_once_written(channel: str) -> None:
    """Ring when the present transaction, if there is one, is committed."""
    transaction.on_commit(partial(ring, channel))


def ring(channel: str) -> None:
    """Have whoever listens to this channel look now."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT) as client:
            client.publish(channel, b"")
    except (redis.RedisError, OSError, ValueError) as error:
        logger.warning("%s was not rung, what was written is seen at the next turn: %s", channel, error)
