"""A counter for each name: the reference worker.

    await Counters.register_name("visits", "examples.counters:Counter", [10])
    await Counters.call("visits", {"op": "increment", "by": 1})  # 11

When its node shuts down, a counter moves to another one and goes on counting where it was.
"""

from __future__ import annotations

from typing import Any

from supervisor import NotHandled, Sworm, Worker


class Counters(Sworm):
    """The pool; what is said here can be changed in the admin while it runs."""

    handoff = True


class Counter(Worker):
    """Counts, starting at `value`."""

    def init(self, value: int = 0) -> None:
        """The arguments of `register_name` arrive here."""
        self.value = value

    def handle_call(self, message: Any) -> Any:
        """`{"op": "increment", "by": 1}` and `{"op": "get"}`: both answer with the value."""
        match message:
            case {"op": "increment"}:
                self.value += message.get("by", 1)
            case {"op": "get"}:
                pass
            case _:
                raise NotHandled(f"a counter cannot {message!r}")
        return self.value

    def handle_cast(self, message: Any) -> None:
        """The same for those who do not wait."""
        self.handle_call(message)

    def begin_handoff(self) -> int:
        """What moves to the next node."""
        return self.value

    def end_handoff(self, state: int) -> None:
        """What moved here."""
        self.value = state

    def resolve_conflict(self, state: int) -> None:
        """A network split made two of us: nothing that was counted is lost when the larger value stays."""
        self.value = max(self.value, state)
