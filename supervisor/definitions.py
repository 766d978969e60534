"""The one way in which definitions are written, whoever asks: REST, the admin, a script.

Law: what no node could obey is refused here, with a sentence for each field; what is written raises the row's
revision, has an audit row in the same transaction, and is announced afterwards. A deleted definition is a row too: its
revision tells agents that the deletion is newer than what they know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from django.db import IntegrityError, connection, transaction
from django.db.models import QuerySet
from django.utils import timezone

from registry.audit import audit
from registry.auth import Principal
from registry.bell import DEFINITIONS, ring_once_written
from registry.core.frozen import frozen
from registry.models import Process, Proposal, Sworm, SwormRevision
from registry.models.definition import WIRE_FIELDS
from registry.problems import Problem
from supervisor.core.spec import Definition, check

#: Fields that people write.
WRITABLE = tuple(field for field in WIRE_FIELDS if field not in ("name", "revision", "deleted"))

#: Each command asks for its definition: written out, it costs a fraction of what the ORM takes to write it.
_FIELDS = (*WIRE_FIELDS, "created_at", "updated_at")
_GET = f"SELECT {', '.join(_FIELDS)} FROM registry_sworm WHERE name = %s AND NOT deleted"  # noqa: S608 - constants

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")


def live() -> QuerySet[Sworm]:
    """The definitions that are in force."""
    return Sworm.objects.filter(deleted=False)


def get(name: str) -> Sworm:
    """The definition of a sworm, to read; a problem when there is none."""
    with connection.cursor() as cursor:
        cursor.execute(_GET, [name])
        values = cursor.fetchone()
    if values is None:
        raise Problem("unknown_sworm", f"no definition is named {name!r}")
    fields = dict(zip(_FIELDS, values, strict=True))
    return Sworm(**fields | {field: json.loads(fields[field]) for field in ("constraints", "allowed_modules")})


def definition_of(row: Sworm) -> Definition:
    """The row as the value that agents obey."""
    fields = row.wire()
    modules = fields["allowed_modules"]
    fields["allowed_modules"] = tuple(modules) if isinstance(modules, list | tuple) else ()
    fields["constraints"] = frozen(fields["constraints"]) if isinstance(fields["constraints"], dict) else ()
    return Definition(**fields)


def wrong_with(row: Sworm) -> dict[str, str]:
    """What is wrong with a row: {field: sentence}; empty when a node can obey all of it."""
    wrong = check(definition_of(row))
    if not isinstance(row.constraints, dict):
        wrong["constraints"] = 'must be an object of labels, as {"zone": "a"}'
    modules = row.allowed_modules
    if not isinstance(modules, list):
        wrong["allowed_modules"] = "must be a list of module names"
    else:
        bad = [module for module in modules if not (isinstance(module, str) and _MODULE.match(module))]
        if bad:
            wrong["allowed_modules"] = f"{bad[0]!r} is not the name of a module, as chat.rooms"
    return wrong


def refuse_if_wrong(row: Sworm) -> None:
    """Raise one problem with a sentence for each field that is wrong."""
    wrong = wrong_with(row)
    if wrong:
        raise Problem("invalid", "; ".join(f"{field}: {text}" for field, text in wrong.items()), errors=wrong)


def create(name: str, fields: Mapping[str, Any], who: Principal, reason: str) -> Sworm:
    """A new definition. A name that was deleted before goes on with the next revision."""
    try:
        return _create(name, fields, who, reason)
    except IntegrityError:  # somebody else was first, between our look and our insert
        raise Problem("already_exists", f"a definition named {name!r} exists") from None


def _create(name: str, fields: Mapping[str, Any], who: Principal, reason: str) -> Sworm:
    with transaction.atomic():
        row = Sworm.objects.select_for_update().filter(name=name).first()
        if row is not None and not row.deleted:
            raise Problem("already_exists", f"a definition named {name!r} exists at revision {row.revision}")
        fresh = Sworm(name=name, revision=1 if row is None else row.revision + 1, **fields)
        refuse_if_wrong(fresh)
        if row is not None:
            fresh.created_at = timezone.now()
        fresh.save(force_insert=row is None, force_update=row is not None)
        _remember(fresh, who, reason)
        audit(who.actor, "sworm.create", name, reason, after=values_of(fresh), revision=fresh.revision)
        ring_once_written(DEFINITIONS)
    return fresh


def change(name: str, fields: Mapping[str, Any], expected: int | None, who: Principal, reason: str) -> Sworm:
    """Change some fields. `expected` is the revision that is changed; None: whichever stands."""
    with transaction.atomic():
        row = _locked(name, expected)
        changed = {field: value for field, value in fields.items() if getattr(row, field) != value}
        before = {field: getattr(row, field) for field in changed}
        for field, value in changed.items():
            setattr(row, field, value)
        refuse_if_wrong(row)
        if changed:
            row.revision += 1
            row.save(force_update=True)
            _remember(row, who, reason)
            audit(who.actor, "sworm.change", name, reason, before=before, after=changed, revision=row.revision)
            ring_once_written(DEFINITIONS)
    return row


def delete(name: str, expected: int | None, who: Principal, reason: str) -> None:
    """Mark a definition as deleted; refused while it has processes."""
    with transaction.atomic():
        row = _locked(name, expected)
        processes = Process.objects.filter(sworm=name).count()
        if processes:
            raise Problem("has_processes", f"{name} has processes ({processes}); stop them first")
        row.deleted = True
        row.revision += 1
        row.save(force_update=True)
        _remember(row, who, reason)
        audit(who.actor, "sworm.delete", name, reason, before=values_of(row), revision=row.revision)
        ring_once_written(DEFINITIONS)


def revert(name: str, revision: int, expected: int | None, who: Principal, reason: str) -> Sworm:
    """Write again what a definition was at a revision; fields that are newer than that keep their value."""
    return change(name, at_revision(name, revision), expected, who, reason or f"back to revision {revision}")


def at_revision(name: str, revision: int) -> dict[str, Any]:
    """The fields of a definition as they were at a revision; a problem when it was none then."""
    old = SwormRevision.objects.filter(sworm=name, revision=revision).first()
    if old is None or old.deleted:
        was = "was deleted" if old is not None else "is not known"
        raise Problem("unknown_revision", f"revision {revision} of {name!r} {was}")
    return {field: value for field, value in old.fields.items() if field in WRITABLE}


def _remember(row: Sworm, who: Principal, reason: str) -> None:
    """Keep what the row is now, for whoever wants to know or to go back."""
    SwormRevision.objects.create(
        sworm=row.name, revision=row.revision, at=timezone.now(), actor=who.actor, reason=reason,
        fields=values_of(row), deleted=row.deleted,
    )  # fmt: skip


def propose(name: str, fields: Mapping[str, Any]) -> None:
    """Note what a class in somebody's code says of a sworm; what differs from the row is its drift."""
    proposed = {field: value for field, value in fields.items() if field in WRITABLE}
    Proposal.objects.update_or_create(sworm=name, defaults={"fields": proposed})


def drifts(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """{sworm: {field: {"code", "row"}}} of definitions that differ from the class that proposed them."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    by_name = {row["name"]: row for row in rows}
    for name, fields in Proposal.objects.filter(sworm__in=by_name).values_list("sworm", "fields"):
        row = by_name[name]
        found[name] = {
            field: {"code": value, "row": row[field]} for field, value in sorted(fields.items()) if row[field] != value
        }
    return found


def values_of(row: Sworm) -> dict[str, Any]:
    """What people write of a definition."""
    return {field: getattr(row, field) for field in WRITABLE}


def _locked(name: str, expected: int | None) -> Sworm:
    row = live().select_for_update().filter(name=name).first()
    if row is None:
        raise Problem("unknown_sworm", f"no definition is named {name!r}")
    if expected is not None and row.revision != expected:
        raise Problem(
            "precondition_failed",
            f"{name} is at revision {row.revision}, not {expected}",
            headers={"ETag": etag(row)},
        )
    return row


def etag(row: Sworm) -> str:
    """The revision as an entity tag."""
    return f'"{row.revision}"'
