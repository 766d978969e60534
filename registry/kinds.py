"""The kinds of events: what may stand in `Event.kind`, and what each says.

Law: whoever reports something uses one of these words (a test reads all reports in the code); who asks for the history
of another one is refused, since nothing would ever come. Pages and docs name the same ones.
"""

from __future__ import annotations

from typing import Final

#: Kind -> what happened. Where `pid` and `epoch` are told, they are those of the process that it happened to.
KINDS: Final[dict[str, str]] = {
    "started": "A process was registered and runs.",
    "restarted": "It runs again, as a new pid with a new epoch.",
    "moved": "It was handed off; `detail` names the node, the new pid and the new epoch. Told by the source.",
    "arrived": "It runs where it was moved to; `detail` names the old pid. Told by the target.",
    "rehomed": "It is started again on this node, as the one that ran it departed.",
    "crashed": "Its worker ended with an error; `detail` ends with the traceback.",
    "failed": "It crashed too often and is not restarted any more.",
    "exited": "Its worker returned, and its sworm does not restart it; the name is free.",
    "unregistered": "Somebody ended the name.",
    "stopped": "Its node left and could not hand it over; it starts again elsewhere without its state.",
    "lost": "Its node departed, and its sworm does not restart it; the name is free.",
    "waiting": "Its node departed, and no node may run it now.",
    "conflict": "It gave way to another process of its name, after a split.",
    "handoff_failed": "It was not moved, or without its state.",
    "left_behind": "Its node was drained, and its state was not handed over.",
    "checkpoint_failed": "Its state could not be taken for a checkpoint.",
    "drain_ended": "The node is empty, or its time is over.",
    "drain_cancelled": "The node takes processes again.",
    "definition_refused": "The node cannot obey a revision of a definition, and keeps the one before.",
    "strategy_failed": "The sworm's own strategy raised, was late, or chose a node that may not.",
    "redistribution": "Processes move, as nodes or the definition changed.",
    "no_quorum": "The node's processes stop until a majority is in reach.",
    "suspect": "The node does not answer.",
    "dead": "The node is given up.",
    "refuted": "The node spoke up again.",
    "relayed": "The node and another have no direct link, and reach each other through a third; `detail` names all.",
    "direct": "They have one again.",
    "ended": "An incarnation of the node is over.",
    "paused": "The node was stopped for a while and goes on.",
    "repaired": "A copy of a node's map was replaced.",
    "refused_peer": "A node was refused at its hello.",
    "refused_message": "A frame of a node was refused.",
    "command_dropped": "A command of the control plane was not readable, or came too late.",
    "operation_started": "An observer took an operation up.",
    "operation_resumed": "Another observer goes on with it.",
    "operation_succeeded": "It has come to its end.",
    "operation_failed": "It could not.",
    "operation_cancelled": "It begins nothing more.",
}
