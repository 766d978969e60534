"""Sign-in links and principals."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.db import connection
from django.test import Client
from django.utils import timezone

from registry import scopes
from registry.apps import ensure_roles
from registry.auth import Again, NotValid, consume_sign_in_link, create_sign_in_link, owner, principal_of_user
from registry.models import RoleReach, SignInLink

pytestmark = pytest.mark.django_db


def test_a_link_signs_in_once() -> None:
    secret = create_sign_in_link(owner())
    assert consume_sign_in_link(secret) == owner()
    with pytest.raises(NotValid):
        consume_sign_in_link(secret)


def test_a_links_secret_is_not_kept() -> None:
    secret = create_sign_in_link(owner())
    assert secret not in {str(value) for value in SignInLink.objects.values_list().get()}


def test_a_link_expires() -> None:
    secret = create_sign_in_link(owner())
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(NotValid):
        consume_sign_in_link(secret)


def test_a_link_of_an_account_that_is_switched_off() -> None:
    secret = create_sign_in_link(owner())
    User.objects.update(is_active=False)
    with pytest.raises(NotValid, match="switched off"):
        consume_sign_in_link(secret)


def test_old_links_are_swept() -> None:
    create_sign_in_link(owner())
    SignInLink.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    create_sign_in_link(owner())
    assert SignInLink.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_many_browsers_one_is_signed_in() -> None:
    secret = create_sign_in_link(owner())

    def consume(_: int) -> bool:
        try:
            consume_sign_in_link(secret)
        except NotValid:
            return False
        else:
            return True
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(consume, range(8))) == 1


def test_the_owner_is_an_admin_without_a_password() -> None:
    assert owner().is_superuser
    assert not owner().has_usable_password()
    found = principal_of_user(owner())
    assert found is not None
    assert (found.actor, found.scopes, found.sworms) == ("user:admin", scopes.ALL, None)


def test_roles_add_up_and_strangers_have_none() -> None:
    ensure_roles()
    user = User.objects.create_user("ann")
    user.groups.add(Group.objects.get(name="viewer"), Group.objects.create(name="choir"))
    found = principal_of_user(user)
    assert found is not None
    assert found.scopes == {scopes.READ}
    assert principal_of_user(AnonymousUser()) is None


def test_a_role_may_be_bound_to_sworms_and_roles_add_up_scope_by_scope() -> None:
    ensure_roles()
    user = User.objects.create_user("ann")
    rooms = Group.objects.create(name="rooms operators")
    rooms.permissions.set(Permission.objects.filter(codename__in=["read", "process_write"]))
    RoleReach.objects.create(group=rooms, sworms=["rooms"])
    user.groups.add(rooms)
    found = principal_of_user(user)
    assert found is not None
    assert (found.sworms, found.reach(scopes.PROCESS_WRITE)) == ({"rooms"}, {"rooms"})
    assert not found.may(scopes.NODE_DRAIN)
    user.groups.add(Group.objects.get(name="viewer"))
    found = principal_of_user(user)
    assert found is not None
    assert (found.sworms, found.reach(scopes.PROCESS_WRITE)) == (None, {"rooms"})
    assert found.may_touch("games")
    assert not found.may_touch("games", scopes.PROCESS_WRITE)


def test_a_permission_of_ones_own_reaches_all() -> None:
    ensure_roles()
    user = User.objects.create_user("ann")
    user.user_permissions.add(Permission.objects.get(codename="read", content_type__app_label="registry"))
    found = principal_of_user(user)
    assert found is not None
    assert found.grants == {scopes.READ: None}


def test_who_signs_out_or_changes_the_password_may_no_longer_look() -> None:
    ensure_roles()
    user = User.objects.create_user("ann")
    user.groups.add(Group.objects.get(name="viewer"))
    client, other = Client(), Client()
    for one in (client, other):
        one.force_login(user, "django.contrib.auth.backends.ModelBackend")
    first, second = (Again(user=user.pk, session=one.session.session_key) for one in (client, other))
    assert [None is not again() for again in (first, second)] == [True, True]
    client.logout()
    assert [None is not again() for again in (first, second)] == [False, True]
    user.set_password("correct horse battery")
    user.save()
    assert second() is None
    assert Again(user=user.pk)() is None


def test_a_role_that_people_changed_is_left_as_it_is() -> None:
    ensure_roles()
    viewer = Group.objects.get(name="viewer")
    viewer.permissions.clear()
    ensure_roles()
    assert not viewer.permissions.exists()
