"""The delegate's side of one process: which phase it is in, and which phase may follow.

Law: a phase changes only through `TABLE`; an illegal step raises and changes nothing. The phase is private to the host;
what the registry shows is the state that `SHOWN` derives from it. A process has one serial for life: a restart makes a
new process.

    asked to start ------ starting -> running -> freezing -> offering -> moved -> stopping -> ended
    by a handoff -------- preparing -> prepared -> running
    crashed ------------- running -> waiting (for its restart) -> ended;  running -> failed -> ended
    lost a conflict ----- running -> losing -> stopping -> ended
    lost its quorum ----- running -> stopping -> waiting (for a majority) -> ended
"""

from __future__ import annotations

from dataclasses import dataclass, field

from registry.core.ids import Origin, Pid
from registry.core.messages import Order, Prepare
from registry.core.names import FAILED, HANDING_OFF, MOVED, RESTARTING, Registration, Spec
from registry.core.names import RUNNING as SHOWN_RUNNING
from registry.core.names import STARTING as SHOWN_STARTING
from registry.core.quorum import Lease
from supervisor.core.ties import Ties

STARTING = "starting"
RUNNING = "running"
WAITING = "waiting"  #: for its restart
FAILED_PHASE = "failed"
FREEZING = "freezing"  #: its state is being taken
OFFERING = "offering"  #: the target prepares
MOVED_PHASE = "moved"  #: committed; this incarnation never thaws
PREPARING = "preparing"  #: target of a handoff, not ready yet
PREPARED = "prepared"  #: target of a handoff, ready and closed
LOSING = "losing"  #: frozen by a conflict
STOPPING = "stopping"
ENDED = "ended"

TABLE: dict[str, frozenset[str]] = {
    STARTING: frozenset({RUNNING, WAITING, FAILED_PHASE, STOPPING, LOSING, ENDED}),
    RUNNING: frozenset({WAITING, FAILED_PHASE, FREEZING, OFFERING, LOSING, STOPPING, ENDED}),
    WAITING: frozenset({OFFERING, STOPPING, ENDED}),
    FAILED_PHASE: frozenset({OFFERING, STOPPING, ENDED}),
    FREEZING: frozenset({RUNNING, OFFERING, LOSING, STOPPING, WAITING, FAILED_PHASE, ENDED}),
    OFFERING: frozenset({RUNNING, WAITING, FAILED_PHASE, MOVED_PHASE, LOSING, STOPPING, ENDED}),
    MOVED_PHASE: frozenset({OFFERING, STOPPING, ENDED}),
    PREPARING: frozenset({PREPARED, RUNNING, STOPPING, ENDED}),
    PREPARED: frozenset({RUNNING, PREPARING, STOPPING, ENDED}),
    LOSING: frozenset({RUNNING, STOPPING, ENDED}),
    STOPPING: frozenset({WAITING, ENDED}),
    ENDED: frozenset(),
}

SHOWN: dict[str, str] = {
    STARTING: SHOWN_STARTING,
    RUNNING: SHOWN_RUNNING,
    WAITING: RESTARTING,
    FAILED_PHASE: FAILED,
    FREEZING: HANDING_OFF,
    OFFERING: HANDING_OFF,
    MOVED_PHASE: MOVED,
    LOSING: SHOWN_RUNNING,
    STOPPING: SHOWN_RUNNING,
}

#: Why a worker stops that was made for a move, or by one, and is of no use any more.
GIVEN_UP = "handoff given up"

#: Phases in which the process has an entry in the registry.
LISTED = frozenset(SHOWN)


class IllegalPhase(Exception):
    """A process cannot go from one phase to the other; nothing was changed."""


@dataclass(slots=True)
class Process:
    """One process as its host's delegate knows it."""

    serial: int
    pid: Pid
    sworm: str
    name: str
    spec: Spec
    epoch: int
    claim: str
    majority: int
    started_at: int  #: ms since 1970
    phase: str = STARTING
    restarts: int = 0  #: over the name's life
    restarted_at: tuple[float, ...] = ()  #: those that may still count
    alive: bool = False  #: a worker runs or starts; `WorkerExited` or `WorkerFailed` will come
    retry_at: float = 0.0  #: waiting: when it restarts
    after_stop: str = ""  #: stopping: what follows (restart, moved, lost, left, suspend; empty: removal)
    move: Move | None = None
    prepare: Prepare | None = None  #: target of a handoff: kept until it opened
    source: Origin = ""
    wanted: bool = False  #: target: committed, to be opened as soon as it is ready
    refused: bool = False  #: target: told its source that it does not take it after all; dropped at its `Abort`
    lease: Lease | None = None  #: under which its gate lets messages through; None: its sworm needs none
    ties: Ties | None = None  #: further names and groups; most processes have none
    taken_at: int = 0  #: ms since 1970: when its state was taken last; no two states of it have the same
    kept: Kept | None = None  #: the state that it started with, until it runs
    began: tuple[Pid, int] | None = None  #: whose state it started with, and when that was taken

    def enter(self, phase: str) -> None:
        """Change the phase, or raise `IllegalPhase`."""
        if phase not in TABLE[self.phase]:
            raise IllegalPhase(f"{self.sworm}/{self.name}: {self.phase} -> {phase}")
        self.phase = phase

    def settle_in(self) -> None:
        """It runs: the state that it started with need not be kept any more."""
        if self.kept is not None:
            self.began, self.kept = (self.kept.of, self.kept.taken_at), None

    def take_stamp(self, now: float) -> int:
        """The time of a state that is taken now."""
        self.taken_at = max(self.taken_at + 1, int(now * 1000))
        return self.taken_at

    def entry(self) -> Registration:
        """What the registry says of it."""
        to = self.move.target if self.move and self.phase == MOVED_PHASE else ""
        return Registration(
            self.serial,
            self.epoch,
            self.claim,
            SHOWN[self.phase],
            self.majority,
            self.restarts,
            self.started_at,
            self.spec,
            to,
        )


@dataclass(slots=True)
class Move:
    """One attempt to hand a process off; its epoch names it on every frame."""

    epoch: int
    target: Origin
    majority: int
    order: Order
    deadline: float
    resend_at: float = 0.0
    state: bytes = b""
    stateful: bool = False
    resume: str = field(default=RUNNING)  #: the phase to fall back to when it is aborted
    taken_at: int = 0  #: when the state was taken
    restored: bool = False  #: an earlier target may have gone on from the state and died
    recalled: str = ""  #: committed, and no node takes it: why it starts again here

    def kept(self, pid: Pid) -> Kept | None:
        """The state of this process for whoever goes on here, although the target may have opened and died."""
        return Kept(self.state, pid, self.taken_at, restored=True) if self.stateful else None


@dataclass(frozen=True, slots=True)
class Kept:
    """A state that a process starts with, kept until its worker stands."""

    state: bytes
    of: Pid  #: who gave it
    taken_at: int  #: ms since 1970, by the clock of the host that took it
    restored: bool  #: its node died: the worker is told how old the state is
    tries: int = 0

    def age_ms(self, now: float) -> int | None:
        """How old a restored state is; None for one that was handed over by a living node."""
        return max(0, int(now * 1000) - self.taken_at) if self.restored else None
