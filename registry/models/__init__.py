"""The tables of the registry: definitions (written by people), the read model (written by the observer), access.

Law: columns and their constraints, no behaviour beyond reading a row as a plain value. Nothing here imports the
supervisor.
"""

from __future__ import annotations

from registry.models.access import ApiToken, AuditEntry, IdempotencyKey, RoleReach, SignInLink
from registry.models.definition import Proposal, Sworm, SwormRevision
from registry.models.observed import (
    Change,
    Counter,
    Event,
    Horizon,
    Membership,
    Node,
    ObservedVersion,
    ObserverTerm,
    Process,
    Removal,
    ReplicaSnapshot,
)

__all__ = [
    "ApiToken",
    "AuditEntry",
    "Change",
    "Counter",
    "Event",
    "Horizon",
    "IdempotencyKey",
    "Membership",
    "Node",
    "ObservedVersion",
    "ObserverTerm",
    "Process",
    "Proposal",
    "Removal",
    "ReplicaSnapshot",
    "RoleReach",
    "SignInLink",
    "Sworm",
    "SwormRevision",
]
