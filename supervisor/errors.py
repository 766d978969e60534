"""The one family of errors that Sworm's verbs raise.

Law: an error is a word (`code`, the same in REST, in answers of the broker and on the call lane) and a sentence. The
docstring of a class is the sentence of an error raised without one. Nothing else travels: an error that crosses a link
or the broker is made again from its code (`from_code`), never unpickled.
"""

from __future__ import annotations

from typing import Any, ClassVar

#: Characters of what an exception of users' code says that travel.
MAX_DETAIL = 2_000


class SwormError(Exception):
    """Something went wrong in the cluster."""

    code: ClassVar[str] = "error"

    def __init__(self, detail: str = "") -> None:
        self.detail = sendable(detail) or (type(self).__doc__ or "").strip()
        super().__init__(self.detail)


class AlreadyStarted(SwormError):
    """A process of this name is running already."""

    code = "already_started"

    def __init__(self, pid: str, detail: str = "") -> None:
        super().__init__(detail or f"a process of this name is running already: {pid}")
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.pid, self.detail)


class NotRegistered(SwormError):
    """No process of this name is registered."""

    code = "not_registered"


class Refused(SwormError):
    """The cluster does not take this request; nothing was registered."""

    code = "refused"


class StartError(Refused):
    """The worker failed to start; the detail is its own error."""

    code = "start_failed"


class TargetNotAllowed(StartError):
    """The target's module is not on the list of allowed modules."""

    code = "target_not_allowed"


class TargetNotFound(StartError):
    """The target names nothing callable that its module itself defines."""

    code = "target_not_found"


class NoNode(Refused):
    """No node that may run this sworm is up."""

    code = "no_node"


class NoQuorum(Refused):
    """This side of the cluster does not hold a majority of the nodes."""

    code = "no_quorum"


class StrategyFailed(Refused):
    """The sworm's own distribution strategy raised, took too long, or chose no node that it was given."""

    code = "strategy_failed"


class UnknownSworm(Refused):
    """No sworm of this name is defined."""

    code = "unknown_sworm"


class BadDefinition(SwormError, ValueError):
    """The sworm's settings cannot be obeyed."""

    code = "bad_definition"


class BadValue(SwormError, ValueError):
    """Messages, replies, arguments and states must be MessagePack values within the size limit."""

    code = "bad_value"


class CallError(SwormError):
    """The call brought no reply."""

    code = "call_failed"


class CallTimeout(CallError):
    """No reply came in time; the message may have been handled, or may not."""

    code = "call_timeout"


class WorkerCrashed(CallError):
    """The worker crashed while it handled this message."""

    code = "worker_crashed"


class NotHandled(WorkerCrashed):
    """The worker takes no such message. Raise it in a handler to refuse one message without crashing."""


class NoReply(WorkerCrashed):
    """The worker ended without answering this message."""


class Deadlock(CallError):
    """A worker called itself from within the handler that it would have to finish first."""

    code = "deadlock"


class NoAnswer(SwormError):
    """No answer came; what was asked may have been done, or may not."""

    code = "no_answer"


class LinkLost(NoAnswer, CallError):
    """The link to the worker's node broke while the reply was awaited; the message may have been handled."""


#: Word -> the error that it stands for. Where two share a word, the more general one.
BY_CODE: dict[str, type[SwormError]] = {
    kind.code: kind
    for kind in (
        NotRegistered, Refused, StartError, TargetNotAllowed, TargetNotFound, NoNode, NoQuorum, StrategyFailed,
        UnknownSworm, BadDefinition, BadValue, CallError, CallTimeout, WorkerCrashed, Deadlock, NoAnswer,
    )
}  # fmt: skip


def from_code(code: str, detail: str = "", pid: str = "") -> SwormError:
    """The error that a code from elsewhere stands for; a `SwormError` naming the code when it is unknown."""
    if code == AlreadyStarted.code:
        return AlreadyStarted(pid, detail)
    kind = BY_CODE.get(code)
    return kind(detail) if kind else SwormError(f"{code}: {detail}" if detail else code)


def described(error: BaseException) -> str:
    """An exception as one line for people: `ValueError: no such seat`; at most `MAX_DETAIL` characters of its text.

    Users' exceptions may hold what UTF-8 cannot, and may fail to say anything at all.
    """
    try:
        text = sendable(str(error))
    except Exception as another:  # noqa: BLE001 - users' code raises anything
        text = f"its text raised {type(another).__name__}"
    text = text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 2] + " …"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def sendable(text: str) -> str:
    """Text as UTF-8 can hold it: lone surrogates are written out."""
    return text.encode("utf-8", "backslashreplace").decode()
