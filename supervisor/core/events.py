"""What happens to a node (events) and what it wants done (effects): the whole boundary of `Node.step`.

Law: frozen values. The shell turns real things into events and effects into real things, in the order given; it adds no
decision of its own. Ordering duty: the effects of one step are carried out in order before those of a later step;
`Send`s to one peer leave in order on one link; a `Reply` is delivered after the `Send`s before it were handed to their
links.
"""

from __future__ import annotations

from dataclasses import dataclass

from registry.core.events import (
    Connect,
    Detour,
    Disconnect,
    HoldCalls,
    Joined,
    LinkDown,
    LinkRefused,
    LinkUp,
    Received,
    Report,
    Send,
    Ticked,
    Wake,
)
from registry.core.ids import Origin, Pid
from registry.core.names import Spec
from registry.core.quorum import Lease
from supervisor.core.spec import Definition
from supervisor.core.strategies import Candidate

# --------------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody on this node asks for a verb; a `Reply` with the same `request` ends it, once, whatever happens.

    `kind` is register, unregister, restart, move, join or leave; register with a pid and no spec gives that process a
    further name. `request` is unique on this node. `claim` is the caller's own id of
    the wish: repeated with the same claim, it has one effect.
    """

    request: str
    kind: str
    sworm: str
    name: str
    deadline: float  #: same clock as `now`, seconds since 1970
    claim: str
    spec: Spec | None = None
    pid: Pid = ""  #: only this incarnation; empty: whichever runs. join, leave: instead of the name
    to: str = ""  #: move: name of the wanted node; empty: the arbiter chooses
    group: str = ""  #: join, leave


@dataclass(frozen=True, slots=True)
class Defined:
    """A definition came with a command, or (on the observer) from PostgreSQL."""

    definition: Definition
    publish: bool = True  #: write it into the own directory map when it is newer than what is known there


@dataclass(frozen=True, slots=True)
class DrainAsked:
    """Leave: hand every process over, then say so with `Drained`. `deadline` in seconds since 1970."""

    deadline: float
    leave: bool = True  #: False: stay as an empty, draining member


@dataclass(frozen=True, slots=True)
class DrainCancelled:
    """End a drain that has not come to its end: the node takes processes again."""


@dataclass(frozen=True, slots=True)
class CordonAsked:
    """Take no new processes (or, with `on` false, take them again)."""

    on: bool


@dataclass(frozen=True, slots=True)
class WorkerStarted:
    """A worker's `init` (and `end_handoff`, when it was given a state) came back."""

    serial: int


@dataclass(frozen=True, slots=True)
class WorkerFailed:
    """A worker could not start: `code` is target_not_allowed, target_not_found or start_failed."""

    serial: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class WorkerExited:
    """A started worker ended. `normal`: it returned, or stopped because it was told to; else it crashed."""

    serial: int
    normal: bool
    detail: str = ""  #: exception and traceback, shortened


@dataclass(frozen=True, slots=True)
class StateTaken:
    """Answer to `TakeState`: the frozen worker's state, MessagePack, or why there is none."""

    serial: int
    state: bytes
    stateful: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class CheckpointTaken:
    """Answer to `TakeCheckpoint`: as `StateTaken`."""

    serial: int
    state: bytes
    stateful: bool
    problem: str = ""


@dataclass(frozen=True, slots=True)
class StateGiven:
    """Answer to `GiveState`: `resolve_conflict` ran (or failed, with `problem`)."""

    serial: int
    loser: Pid
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a user's own strategy said: a node (empty: none of them) for each name, or why it could not."""

    request: str
    nodes: tuple[str, ...] = ()
    problem: str = ""  #: a sentence; empty: it went well


@dataclass(frozen=True, slots=True)
class Foresee:
    """Somebody asks where a sworm's strategy wants these names now; a `Reply` with the same `request` ends it, with one
    of `nodes` for each name (empty: none of them), or refused. Nothing changes.
    """

    request: str
    sworm: str
    names: tuple[str, ...]
    without: str = ""  #: name of a node that does not count: the one that they leave
    trial: Definition | None = None  #: a definition that nobody obeys yet: only whether its strategy can be used


@dataclass(frozen=True, slots=True)
class ForgetAsked:
    """An operator gives up the dead incarnations of a node: majorities are counted without them."""

    node: str


Event = (
    LinkUp | LinkDown | LinkRefused | Joined | Received | Ticked | Asked | Defined | DrainAsked | DrainCancelled
    | CordonAsked
    | WorkerStarted | WorkerFailed | WorkerExited | StateTaken | StateGiven
    | CheckpointTaken | Chosen | Foresee | ForgetAsked
)  # fmt: skip

# -------------------------------------------------------------------------------------------------------------- effects


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start a worker; answered by `WorkerStarted` or `WorkerFailed`. Its gate is shut until `OpenGate`.

    `stateful`: run `end_handoff(state)` after `init`, before answering. `restored_age_ms`: how old a state is whose
    node died, to be told to the worker; None: a living node handed it over, nothing is missing from it.
    """

    serial: int
    sworm: str
    name: str
    pid: Pid
    epoch: int
    spec: Spec
    allowed_modules: tuple[str, ...]
    state: bytes = b""
    stateful: bool = False
    restored_age_ms: int | None = None


@dataclass(frozen=True, slots=True)
class StopWorker:
    """Stop a worker: `terminate(reason)`, then cancel (or SIGTERM, then SIGKILL). Always answered by `WorkerExited`."""

    serial: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpenGate:
    """Let messages through to a worker, those parked first, in order."""

    serial: int


@dataclass(frozen=True, slots=True)
class LeaseGate:
    """From now on a gate lets messages through only while this lease holds (None: always). The gate looks by itself."""

    serial: int
    lease: Lease | None


@dataclass(frozen=True, slots=True)
class FreezeGate:
    """Park what arrives for a worker from now on."""

    serial: int


@dataclass(frozen=True, slots=True)
class BounceGate:
    """Send what is parked, and whatever comes later, back: `moved` to this pid, or (empty) nobody is there any more."""

    serial: int
    pid: Pid


@dataclass(frozen=True, slots=True)
class TakeState:
    """Run a frozen worker's `begin_handoff` after the message in hand; answered by `StateTaken` within the time-out."""

    serial: int
    timeout: float  #: seconds


@dataclass(frozen=True, slots=True)
class TakeCheckpoint:
    """Run a worker's `checkpoint` between two messages; it goes on. Answered by `CheckpointTaken` within the time-out,
    or not at all when the worker ends before.
    """

    serial: int
    timeout: float  #: seconds


@dataclass(frozen=True, slots=True)
class GiveState:
    """Run a worker's `resolve_conflict(state)`; answered by `StateGiven`."""

    serial: int
    loser: Pid
    state: bytes


@dataclass(frozen=True, slots=True)
class Choose:
    """Ask a user's own strategy where these names should go; always answered by `Chosen`, within seconds."""

    request: str
    strategy: str  #: "module:identifier"
    allowed_modules: tuple[str, ...]  #: as in `StartWorker`
    names: tuple[str, ...]
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of an `Asked`, or of a `Foresee`.

    `result`: started, already_started, done, not_registered, granted, refused or no_answer. With refused, `problem` is
    a short word (target_not_allowed, target_not_found, start_failed, no_node, unknown_sworm, no_quorum …) and `detail`
    a sentence. `origin` and `version`: what a reader's copy must have reached to see the effect.
    """

    request: str
    result: str
    pid: Pid = ""
    epoch: int = 0
    origin: Origin = ""
    version: int = 0
    problem: str = ""
    detail: str = ""
    nodes: tuple[str, ...] = ()  #: of a `Foresee`


@dataclass(frozen=True, slots=True)
class Drained:
    """Every process has left (or the deadline came, with these names left behind); a leaving node may exit now."""

    left_behind: tuple[tuple[str, str], ...] = ()


Effect = (
    Send | Connect | Disconnect | Detour | HoldCalls | Wake | StartWorker | StopWorker | OpenGate | LeaseGate
    | FreezeGate | BounceGate | TakeState | GiveState | TakeCheckpoint | Choose | Reply | Report | Drained
)  # fmt: skip
