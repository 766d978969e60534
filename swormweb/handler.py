"""Django behind ASGI with one change of threads for each request.

Law: all of Django (middleware, view, signals, the return of the database connection) runs in one thread of one pool;
the event loop only reads the request and writes the answer. Django's own handler changes threads for each middleware,
for the view and for each signal, which costs more than most of our views. Answers that stream are sent
by Django's own code, for as long as the client is there.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import tempfile
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from django.conf import settings
from django.core import signals
from django.core.handlers.asgi import ASGIHandler, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.http import HttpResponse, HttpResponseBase
from django.urls import set_script_prefix

logger = logging.getLogger(__name__)

#: Requests answered at once; a call that waits for its worker holds a thread, but no database connection.
THREADS = 256


class TooLarge(Exception):
    """The body is larger than any path takes."""


class ThreadedHandler(ASGIHandler):
    """An ASGI application that answers with Django's synchronous side."""

    def __init__(self) -> None:
        BaseHandler.__init__(self)
        self.load_middleware(is_async=False)
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="request")

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        """Answer one HTTP request."""
        with tempfile.SpooledTemporaryFile(max_size=settings.FILE_UPLOAD_MAX_MEMORY_SIZE) as body:
            try:
                if await self._read(body, receive):
                    response = await self._in_thread(self._respond, scope, body)
                    await self._send(response, receive, send)
            except TooLarge:
                await self._send(HttpResponse("the body is too large\n", "text/plain", 413), receive, send)

    async def _read(self, body: IO[bytes], receive: Any) -> bool:
        """Read the whole body; False when the client left."""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return False
            body.write(message.get("body", b""))
            if body.tell() > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
                raise TooLarge
            if not message.get("more_body", False):
                body.seek(0)
                return True

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        loop, context = asyncio.get_running_loop(), contextvars.copy_context()
        return await loop.run_in_executor(self._pool, context.run, function, *args)

    def _respond(self, scope: dict[str, Any], body: IO[bytes]) -> HttpResponseBase:
        """All of Django's work on one request."""
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        request, refusal = self.create_request(scope, body)
        response = self.get_response(request) if request is not None else refusal
        assert response is not None
        if not response.streaming:
            # The content is complete: what the request held (its database connection) goes back from this thread.
            response.close()
        return response

    async def _send(self, response: HttpResponseBase, receive: Any, send: Any) -> None:
        if not response.streaming:
            await self.send_response(response, send)
            return
        # An answer that does not end by itself ends when nobody listens any more.
        sending = asyncio.ensure_future(self.send_response(response, send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and (error := sending.exception()) is not None:
                logger.error("an answer broke off", exc_info=error)
                await send({"type": "http.response.body"})  # its end: else the client would wait for more for ever
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._in_thread(response.close)


async def _left(receive: Any) -> None:
    """Until the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
