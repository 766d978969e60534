"""The broker that carries commands and reports: dramatiq on Redis or Valkey, MessagePack, and a doorbell.

Law: what travels is MessagePack, never a pickle. Nothing is global but dramatiq's encoder, which dramatiq looks up by
itself. dramatiq's own consumer polls, which is slow or costly; here whoever enqueues also *rings* (PUBLISH on the
queue's channel) and an idle consumer sleeps until it hears that, or for `IDLE_POLL` seconds in case a ring was lost.
A broker that goes away raises nothing out of a consumer: it pauses, tries again, and acknowledges later what it could
not acknowledge meanwhile. Queues have no delay queue (half the threads), so a message cannot be delayed or retried.

`MemoryBroker` is the twin within one process; one contract test covers both.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Container, Iterable
from contextlib import suppress
from typing import Any, cast

import dramatiq
import msgspec
import redis
from dramatiq.broker import Consumer, MessageProxy
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.encoder import Encoder, MessageData
from dramatiq.errors import DecodeError
from redis.backoff import NoBackoff
from redis.retry import Retry

from supervisor.outage import Backoff, Outage

logger = logging.getLogger(__name__)

#: Prefix of every key and channel in Redis.
NAMESPACE = "sworm"

#: Longest sleep of an idle consumer, in seconds: how late a message may be whose ring was lost. Well below the 60 s
#: after which dramatiq takes a silent consumer for dead, since each look is also its heartbeat.
IDLE_POLL = 5.0

#: The same while the worker shuts down, so that it ends promptly.
CLOSING_POLL = 0.05

#: Seconds to wait for a connection, and for an answer on it.
CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0

#: Seconds after the last enqueued message at which a queue that nobody consumes is forgotten: that of a node that
#: never returned.
FORGET_QUEUE = 86_400

#: Milliseconds for which Redis keeps what no consumer could handle.
DEAD_LETTER_TTL = 3_600_000

#: What redis-py raises when the broker is away, starting, or too slow.
BROKER_ERRORS = (redis.RedisError, OSError)


class MessagePackEncoder(Encoder):
    """dramatiq messages as MessagePack: bytes pass unchanged, tuples arrive as lists."""

    def encode(self, data: MessageData) -> bytes:
        """Encode a message's fields; raises TypeError for what MessagePack cannot carry."""
        return msgspec.msgpack.encode(data)

    def decode(self, data: bytes) -> MessageData:
        """Decode a message's fields; raises dramatiq's DecodeError."""
        try:
            return cast("MessageData", msgspec.msgpack.decode(data))
        except msgspec.DecodeError as error:
            raise DecodeError(f"not a MessagePack message: {error}", data, error) from None  # type: ignore[no-untyped-call]


def connect(url: str, *, answer_timeout: float = ANSWER_TIMEOUT) -> redis.Redis:
    """A client whose calls end within seconds, and which gets over one connection that the server closed meanwhile."""
    over_tcp = {} if url.startswith("unix:") else {"socket_connect_timeout": CONNECT_TIMEOUT, "socket_keepalive": True}
    client: redis.Redis = redis.Redis.from_url(
        url, socket_timeout=answer_timeout, retry=Retry(NoBackoff(), 1), **over_tcp
    )
    return client


def bell_channel(queue: str) -> str:
    """The pub/sub channel that wakes the consumer of a queue."""
    return f"{NAMESPACE}:bell:{queue}"


class Bell:
    """An event that a message on the queue's channel sets; one daemon thread listens.

    After each (re)connection it rings once by itself, since a ring may have been missed.
    """

    def __init__(self, url: str, ringer: redis.Redis, queue: str, outage: Outage) -> None:
        self._client = connect(url)  # the listening thread's own, which closes it
        self._ringer = ringer
        self._channel = bell_channel(queue)
        self._outage = outage
        self._event = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"bell {queue}", daemon=True)
        self._thread.start()

    def ring(self) -> None:
        """Wake the consumer; safe from any thread."""
        self._event.set()

    def clear(self) -> None:
        """Forget rings; call before looking into the queue, so that one during the look is kept."""
        self._event.clear()

    def wait(self, timeout: float) -> None:
        """Sleep until a ring, or for `timeout` seconds."""
        self._event.wait(timeout)

    def close(self) -> None:
        """Stop listening, soon; does not wait."""
        self._stopped.set()
        self._event.set()
        with suppress(*BROKER_ERRORS):
            self._ringer.publish(self._channel, b"")  # wakes the listening thread, which then sees that it is to end

    def _run(self) -> None:
        with self._client:
            self._listen_for_ever(Backoff())

    def _listen_for_ever(self, backoff: Backoff) -> None:
        while not self._stopped.is_set():
            try:
                self._listen(backoff)
            except BROKER_ERRORS as error:
                self._outage.failed(error)
                self._stopped.wait(backoff.next())

    def _listen(self, backoff: Backoff) -> None:
        with self._client.pubsub() as pubsub:  # type: ignore[no-untyped-call]
            pubsub.subscribe(self._channel)
            while not self._stopped.is_set():
                # The confirmation of the subscription comes first and rings too.
                if pubsub.get_message(timeout=IDLE_POLL) is not None:
                    backoff.reset()
                    self._event.set()


def misfit(message: dramatiq.Message[Any], actors: Container[str]) -> str:
    """Why a message that could be read is none of ours: those carry one payload, for a known actor."""
    options: Any = message.options  # as whoever sent it wrote it
    args: Any = message.args
    if not isinstance(options, dict) or not isinstance(options.get("redis_message_id"), str):
        return "its options are not those of a message here"
    if message.actor_name not in actors:
        return f"nobody here takes {str(message.actor_name)[:100]!r}"
    if message.kwargs or not isinstance(args, list | tuple) or len(args) != 1:
        return f"{message.actor_name} takes one payload"
    return ""


class DoorbellConsumer(Consumer):
    """Takes messages off one queue as they come. `__next__` belongs to one thread; `ack` and `nack` may come from
    any.
    """

    def __init__(self, broker: DoorbellBroker, queue: str, prefetch: int) -> None:
        self._broker = broker
        self._queue = queue
        self._prefetch = prefetch
        self._fetched: deque[bytes | None] = deque()
        self._outstanding: set[str] = set()
        self._full = False  # no room for more: whoever acknowledges has to ring
        self._unacknowledged: deque[tuple[str, str]] = deque()  # what the broker was away for: (verb, redis id)
        self._backoff = Backoff()
        self._bell = Bell(broker.url, broker.client, queue, broker.outage)

    def __next__(self) -> MessageProxy | None:
        """The next message, or None when there was none for a while (or the broker is away)."""
        if not self._fetched:
            self._look()
        return self._take()

    def ack(self, message: MessageProxy) -> None:
        """The message was processed."""
        self._finish("ack", message)

    def nack(self, message: MessageProxy) -> None:
        """The message cannot be processed: keep it aside for `DEAD_LETTER_TTL`."""
        self._finish("nack", message)

    def requeue(self, messages: Iterable[MessageProxy]) -> None:
        """Give back messages that were fetched but not processed."""
        ids = [message.options["redis_message_id"] for message in messages]
        if not ids:
            return
        try:
            self._broker.do_requeue(self._queue, *ids)
        except BROKER_ERRORS as error:
            self._broker.outage.failed(error)  # they come back once this broker's heartbeat is too old

    def close(self) -> None:
        """Stop listening."""
        self._bell.close()

    def wake(self) -> None:
        """End the present sleep."""
        self._bell.ring()

    def _look(self) -> None:
        """Fetch what there is room for, or sleep until there may be something."""
        self._bell.clear()
        self._full = True  # said before looking: an acknowledgement from here on rings
        room = self._prefetch - len(self._outstanding)
        self._full = room <= 0
        try:
            if room > 0:
                self._settle()
                self._fetched.extend(self._broker.do_fetch(self._queue, room))
                self._broker.outage.recovered()
                self._backoff.reset()
        except BROKER_ERRORS as error:
            self._broker.outage.failed(error)
            self._bell.wait(self._backoff.next())
            return
        if not self._fetched:
            self._bell.wait(CLOSING_POLL if self._broker.closing else IDLE_POLL)

    def _take(self) -> MessageProxy | None:
        while self._fetched:
            data = self._fetched.popleft()
            message = self._decode(data)
            if message is not None:
                self._outstanding.add(message.options["redis_message_id"])
                return MessageProxy(message)
        return None

    def _decode(self, data: bytes | None) -> dramatiq.Message[Any] | None:
        if data is None:  # its body expired
            return None
        try:
            message: dramatiq.Message[Any] = dramatiq.Message.decode(data)
        except DecodeError as error:
            logger.error("dropped an unreadable message on queue %s: %s", self._queue, error)
            return None
        problem = misfit(message, self._broker.actors)
        if problem:
            logger.error("dropped a message on queue %s: %s", self._queue, problem)
        return None if problem else message

    def _finish(self, verb: str, message: MessageProxy) -> None:
        redis_id: str = message.options["redis_message_id"]
        try:
            self._broker.finish(verb, self._queue, redis_id)
        except BROKER_ERRORS as error:
            self._broker.outage.failed(error)
            self._unacknowledged.append((verb, redis_id))
        self._outstanding.discard(redis_id)
        if self._full or self._unacknowledged:
            self._bell.ring()

    def _settle(self) -> None:
        """Acknowledge what could not be acknowledged while the broker was away; else it would be delivered again."""
        while self._unacknowledged:
            verb, redis_id = self._unacknowledged[0]
            self._broker.finish(verb, self._queue, redis_id)
            self._unacknowledged.popleft()


class GiveBack(Exception):
    """Raised by an actor that cannot process its message before its worker ends: the message goes back to its queue."""


class _GivingBack(dramatiq.Middleware):
    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        if not isinstance(exception, GiveBack):
            return
        try:
            broker.enqueue(message.copy())
        except BROKER_ERRORS as error:  # then it will not be acknowledged either, and comes back by itself
            logger.warning("a message could not be given back: %s", error)


class _Closing(dramatiq.Middleware):
    """Tells the broker that its worker shuts down, so that idle consumers notice."""

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        cast("DoorbellBroker", broker).wake_to_close()


class DoorbellBroker(RedisBroker):
    """dramatiq's Redis broker whose idle consumers are woken by whoever enqueues.

    `enqueue` raises one of `BROKER_ERRORS` when the broker is away; the message may have arrived all the same.
    """

    def __init__(self, url: str) -> None:
        dramatiq.set_encoder(MessagePackEncoder())
        self.url = url
        super().__init__(  # type: ignore[no-untyped-call]
            client=connect(url),
            middleware=[_GivingBack(), _Closing()],
            namespace=NAMESPACE,
            dead_message_ttl=DEAD_LETTER_TTL,
        )
        self.outage = Outage("the broker", logger)
        self.closing = False
        self._consumers: list[DoorbellConsumer] = []

    def declare_queue(self, queue_name: str) -> None:
        """Declare a queue, without the delay queue that dramatiq would add."""
        if queue_name in self.queues:
            return
        self.emit_before("declare_queue", queue_name)
        self.queues.add(queue_name)
        self.emit_after("declare_queue", queue_name)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Enqueue a message and ring. Raises ValueError when asked to delay it."""
        if delay is not None:
            raise ValueError("queues have no delay queue; a message cannot be delayed")
        return super().enqueue(message)

    def do_enqueue(self, queue: str, redis_id: str, data: bytes) -> None:
        """What dramatiq's own script does for "enqueue" (its layout is at the head of `dispatch.lua`), and the ring:
        all in one round trip instead of two.
        """
        messages, queued = f"{NAMESPACE}:{queue}.msgs", f"{NAMESPACE}:{queue}"
        pipe = self.client.pipeline(transaction=False)
        pipe.hset(messages, redis_id, data)  # first: whoever finds the id finds the body
        pipe.rpush(queued, redis_id)
        pipe.publish(bell_channel(queue), b"")
        pipe.expire(queued, FORGET_QUEUE)
        pipe.expire(messages, FORGET_QUEUE)
        pipe.execute()

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> Consumer:
        """A consumer of the queue; `timeout` is dramatiq's polling interval and means nothing here."""
        consumer = DoorbellConsumer(self, queue_name, prefetch)
        self._consumers.append(consumer)
        return consumer

    def close(self) -> None:
        """Close the connections; stop the workers first."""
        self.closing = True
        for consumer in self._consumers:
            consumer.close()
        self.client.close()

    def wake_to_close(self) -> None:
        """Let idle consumers notice at once that they are to end."""
        self.closing = True
        for consumer in self._consumers:
            consumer.wake()

    def finish(self, verb: str, queue: str, redis_id: str) -> None:
        """Acknowledge ("ack") or reject ("nack") a fetched message."""
        (self.do_ack if verb == "ack" else self.do_nack)(queue, redis_id)


class MemoryBroker(StubBroker):
    """The broker within one process, for tests: same queues, same encoding, no server."""

    def __init__(self) -> None:
        dramatiq.set_encoder(MessagePackEncoder())
        super().__init__(middleware=[_GivingBack()], fail_fast_default=False)

    def enqueue(self, message: dramatiq.Message[Any], *, delay: int | None = None) -> dramatiq.Message[Any]:
        """Enqueue a message. Raises ValueError when asked to delay it."""
        if delay is not None:
            raise ValueError("queues have no delay queue; a message cannot be delayed")
        self.declare_queue(message.queue_name)
        return super().enqueue(message)


def embedded_worker(
    broker: dramatiq.Broker, queue: str, *, threads: int = 1, prefetch: int = 64, look_up_ms: int = 1_000
) -> dramatiq.Worker:
    """Start a dramatiq worker within this process that consumes one queue and no other.

    Idle worker threads look up every `look_up_ms` whether they are to stop, so that is what `stop` takes at most. All
    of its threads are daemons: none keeps a process from ending. Without a `stop`, what was fetched and not
    acknowledged is delivered again after a minute.
    """
    worker = dramatiq.Worker(broker, queues={queue}, worker_threads=threads, worker_timeout=look_up_ms)
    worker.queue_prefetch = prefetch
    worker.start()
    return worker
