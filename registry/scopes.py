"""What may be done, and which role may do it: the one table of rights.

Law: pure values. A scope is what a token or a role may do; each is a Django permission too (`registry.read` …), and a
role is a Django group that holds some. Nobody asks for a role: views ask for a scope, on a sworm where there is one.
"""

from __future__ import annotations

from collections.abc import Iterable

READ = "read"
PROCESS_WRITE = "process:write"
PROCESS_CALL = "process:call"
PROCESS_HANDOFF = "process:handoff"
NODE_DRAIN = "node:drain"
CONFIG_WRITE = "config:write"
TOKEN_ADMIN = "token:admin"  # noqa: S105 - the name of a right

#: Scope -> what it allows, as the documentation says it.
SCOPES: dict[str, str] = {
    READ: "see definitions, processes, nodes, operations, replicas, events and the audit",
    PROCESS_WRITE: "register, stop and restart processes",
    PROCESS_CALL: "call processes and cast to them",
    PROCESS_HANDOFF: "move processes between nodes",
    NODE_DRAIN: "drain, cordon, uncordon and forget nodes",
    CONFIG_WRITE: "create, change and delete definitions",
    TOKEN_ADMIN: "create and revoke tokens, and administer accounts and roles",
}
ALL = frozenset(SCOPES)

VIEWER = "viewer"
OPERATOR = "operator"
ADMIN = "admin"

#: Role -> its scopes.
ROLES: dict[str, frozenset[str]] = {
    VIEWER: frozenset({READ}),
    OPERATOR: frozenset({READ, PROCESS_WRITE, PROCESS_CALL, PROCESS_HANDOFF, NODE_DRAIN}),
    ADMIN: ALL,
}


#: Django permission (below `registry.`) -> the scope that it gives.
PERMISSIONS: dict[str, str] = {scope.replace(":", "_"): scope for scope in SCOPES}

#: Sworms that a scope reaches; None: all of them.
Reach = frozenset[str] | None


def wider(one: Reach, other: Reach) -> Reach:
    """What both reach together."""
    return None if one is None or other is None else one | other


def together(held: Iterable[tuple[str, Reach]]) -> dict[str, Reach]:
    """{scope: its reach} of several grants; what is no scope of ours gives nothing."""
    found: dict[str, Reach] = {}
    for scope, reach in held:
        if scope in ALL:
            found[scope] = wider(found.get(scope, frozenset()), reach)
    return found
