"""Who is asking: tokens, sessions and sign-in links become a `Principal`.

Law: a secret exists in full only in the answer that hands it out; afterwards its SHA-256 is compared. Every door (REST,
socket, pages) asks here and nowhere else, and asks the principal for a scope, never for a role.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.auth.models import AbstractBaseUser, AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from registry import scopes
from registry.models import ApiToken, SignInLink
from registry.scopes import READ, Reach

#: Every token begins with this, so that leaked ones can be searched for.
TOKEN_PREFIX = "swm_"  # noqa: S105 - no secret, its shape
#: Characters of a token that are kept in the clear, to tell it from others.
SHOWN = len(TOKEN_PREFIX) + 6
#: Least time between two updates of a token's `last_used`: reading must not mean writing.
LAST_USED_EVERY = timedelta(minutes=1)
#: Seconds after which a stream looks at the rights of its reader again: who lost them must not be told things for ever.
RECHECK = 30.0
#: Each request asks this: written out, it costs a fraction of what the ORM takes to write it.
_TOKEN = "SELECT id, name, scopes, sworms, expires_at, revoked_at, last_used FROM registry_apitoken WHERE hash = %s"  # noqa: S105
#: The permissions of a user with the sworms that they are bound to: of each group, and the user's own.
_GRANTS = """
    SELECT held.codename, coalesce(reach.sworms, '[]'::jsonb)::text FROM auth_user_groups AS member
    JOIN auth_group_permissions AS granted ON granted.group_id = member.group_id
    JOIN auth_permission AS held ON held.id = granted.permission_id
    JOIN django_content_type AS kind ON kind.id = held.content_type_id AND kind.app_label = 'registry'
    LEFT JOIN registry_rolereach AS reach ON reach.group_id = member.group_id
    WHERE member.user_id = %(user)s AND held.codename = ANY(%(names)s)
    UNION ALL
    SELECT held.codename, '[]' FROM auth_user_user_permissions AS granted
    JOIN auth_permission AS held ON held.id = granted.permission_id
    JOIN django_content_type AS kind ON kind.id = held.content_type_id AND kind.app_label = 'registry'
    WHERE granted.user_id = %(user)s AND held.codename = ANY(%(names)s)
"""
#: How long a sign-in link works.
SIGN_IN_FOR = timedelta(minutes=30)
#: The account that sign-in links of a machine's owner sign in.
OWNER = "admin"


@dataclass(frozen=True)
class Principal:
    """Who asks, and what they may do: each scope with the sworms that it reaches."""

    actor: str  #: user:name, token:name or cli, as the audit shows it
    grants: Mapping[str, Reach]
    key: str = ""  #: tells two of the same name apart

    @property
    def scopes(self) -> frozenset[str]:
        """Scopes that it has on any sworm."""
        return frozenset(self.grants)

    @property
    def sworms(self) -> Reach:
        """The sworms that it may see; None for all."""
        return self.reach(READ)

    def may(self, scope: str) -> bool:
        """Whether it has a scope, on whatever sworm."""
        return scope in self.grants

    def reach(self, scope: str) -> Reach:
        """The sworms that one of its scopes reaches; None for all."""
        return self.grants.get(scope, frozenset())

    def may_touch(self, sworm: str, scope: str = READ) -> bool:
        """Whether it has a scope on this sworm."""
        reach = self.reach(scope)
        return scope in self.grants and (reach is None or sworm in reach)

    def covers(self, grants: Mapping[str, Reach]) -> bool:
        """Whether it has all of this itself, so that it may hand it out."""
        for scope, wanted in grants.items():
            reach = self.reach(scope)
            if reach is not None and (wanted is None or not wanted <= reach):
                return False
        return True


def whole(granted: Iterable[str], sworms: Iterable[str] = ()) -> dict[str, Reach]:
    """The same reach for each of these scopes; no sworms: all."""
    reach = frozenset(sworms) or None
    return dict.fromkeys(granted, reach)


class NotValid(Exception):
    """A token or link that nobody should accept; the message says why without helping to guess."""


def hash_of(secret: str) -> str:
    """What is stored of a secret. Ours are long and random: a slow hash would protect nothing."""
    return hashlib.sha256(secret.encode()).hexdigest()


def issue_token(
    name: str,
    granted: Iterable[str],
    *,
    sworms: Iterable[str] = (),
    expires_at: datetime | None = None,
    created_by: str = "",
) -> tuple[str, ApiToken]:
    """Make a token; returns its full text, which is not kept, and its row. Scopes must be known ones (ValueError)."""
    wanted = sorted(set(granted))
    unknown = [scope for scope in wanted if scope not in scopes.ALL]
    if unknown or not wanted:
        raise ValueError(f"scopes must be some of {', '.join(scopes.SCOPES)}; not {', '.join(unknown) or 'none'}")
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    row = ApiToken.objects.create(
        name=name,
        prefix=text[:SHOWN],
        hash=hash_of(text),
        scopes=wanted,
        sworms=sorted(set(sworms)),
        expires_at=expires_at,
        created_by=created_by,
    )
    return text, row


@dataclass(frozen=True)
class Again:
    """Whoever was let in once, looked at again: who they are now, None when they may no longer. By token, or by user id
    and the key of the session, which ends when they sign out or change their password.
    """

    token: str = ""
    user: Any = None
    session: str = ""

    def __call__(self) -> Principal | None:
        """Ask the tables."""
        if not self.token:
            user = get_user_model().objects.filter(pk=self.user).first()
            return principal_of_user(user) if user is not None and self._is_signed_in(user) else None
        try:
            return principal_of_token(self.token)
        except NotValid:
            return None

    def _is_signed_in(self, user: AbstractBaseUser) -> bool:
        """As `django.contrib.auth.get_user` judges it for each request."""
        session = SessionStore(self.session)
        same = session.get(SESSION_KEY) == str(user.pk)
        return same and constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())


def told(row: ApiToken) -> dict[str, Any]:
    """What the audit says of a token: what it allows."""
    return {"scopes": row.scopes, "sworms": row.sworms, "expires_at": row.expires_at}


def principal_of_token(text: str) -> Principal:
    """Whose token this is; raises `NotValid`."""
    with connection.cursor() as cursor:
        cursor.execute(_TOKEN, [hash_of(text)])
        row = cursor.fetchone()
    if row is None:
        raise NotValid("unknown token")
    key, name, granted, sworms, expires_at, revoked_at, last_used = row
    now = timezone.now()
    if revoked_at is not None:
        raise NotValid("the token was revoked")
    if expires_at is not None and expires_at <= now:
        raise NotValid("the token has expired")
    if last_used is None or now - last_used > LAST_USED_EVERY:
        ApiToken.objects.filter(pk=key).update(last_used=now)
    return Principal(f"token:{name}", whole(json.loads(granted), json.loads(sworms)), f"token#{key}")


def principal_of_user(user: AbstractBaseUser | AnonymousUser) -> Principal | None:
    """What a signed-in user may do; None for nobody. Superusers may do all; others what their groups' permissions, and
    their own, say: a group's may be bound to some sworms.
    """
    if not isinstance(user, User) or not user.is_active:
        return None
    return Principal(f"user:{user.get_username()}", grants_of(user), f"user#{user.pk}")


def grants_of(user: User) -> dict[str, Reach]:
    """What an account may do while it is switched on."""
    if user.is_superuser:
        return whole(scopes.ALL)
    with connection.cursor() as cursor:
        cursor.execute(_GRANTS, {"user": user.pk, "names": [*scopes.PERMISSIONS]})
        held = [(scopes.PERMISSIONS[name], frozenset(json.loads(sworms)) or None) for name, sworms in cursor.fetchall()]
    return scopes.together(held)


def owner() -> User:
    """The account of the machine's owner, made when missing: an admin without a password."""
    model = get_user_model()
    user, made = model.objects.get_or_create(
        username=OWNER, defaults={"is_staff": True, "is_superuser": True, "is_active": True}
    )
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def create_sign_in_link(user: User, *, valid_for: timedelta = SIGN_IN_FOR) -> str:
    """The secret part of a new one-time link, `/signin/<secret>`."""
    secret = secrets.token_urlsafe(32)
    now = timezone.now()
    SignInLink.objects.filter(Q(expires_at__lt=now) | Q(used_at__isnull=False)).delete()
    SignInLink.objects.create(user=user, hash=hash_of(secret), expires_at=now + valid_for)
    return secret


def consume_sign_in_link(secret: str) -> User:
    """The user whom a link signs in; it never works again. Raises `NotValid` for an unknown, used or expired one."""
    now = timezone.now()
    with transaction.atomic():
        # Two browsers with one link: the update decides, not the read.
        used = SignInLink.objects.filter(hash=hash_of(secret), used_at__isnull=True, expires_at__gt=now)
        if used.update(used_at=now) != 1:
            raise NotValid("this sign-in link is unknown, was used already, or has expired")
        link = SignInLink.objects.select_related("user").get(hash=hash_of(secret))
    if not link.user.is_active:
        raise NotValid("this account is switched off")
    return link.user
