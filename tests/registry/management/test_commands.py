"""`token create` and `signin`."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone

from registry.auth import consume_sign_in_link, principal_of_token
from registry.management.commands import signin, token
from registry.models import ApiToken, AuditEntry, Sworm

pytestmark = pytest.mark.django_db


def run(*arguments: str, **options: Any) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out, **options)
    return out.getvalue().strip()


def test_a_token_is_printed_and_works() -> None:
    text = run("token", "create", "ci", "--scope", "read", "--scope", "process:call", "--sworm", "rooms")
    principal = principal_of_token(text)
    assert (principal.scopes, principal.sworms) == ({"read", "process:call"}, {"rooms"})
    assert AuditEntry.objects.get().action == "token.create"


def test_a_sworm_that_is_not_defined_is_told_of() -> None:
    Sworm.objects.create(name="rooms")
    err = io.StringIO()
    assert run("token", "create", "ci", "--scope", "read", "--sworm", "rooms", "--sworm", "roms", stderr=err)
    assert err.getvalue() == "no definition is named 'roms' yet; the token reaches it once there is one\n"


def test_all_scopes_an_end_and_json() -> None:
    made = json.loads(run("token", "create", "ci", "--scope", "all", "--expires", "2h", "--json"))
    row = ApiToken.objects.get()
    assert len(row.scopes) == 7
    assert row.expires_at is not None
    assert 7100 < (row.expires_at - timezone.now()).total_seconds() <= 7200
    assert (made["name"], made["scopes"]) == ("ci", row.scopes)
    assert principal_of_token(made["token"]).actor == "token:ci"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scope", "everything"], [], ["--scope", "read", "--expires", "soon"],
        ["--scope", "read", "--expires", "0d"], ["--scope", "read", "--expires", "999999w"],
        ["--scope", "read", "--sworm", "No"],
    ],
)  # fmt: skip
def test_what_cannot_be_makes_no_token(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        run("token", "create", "ci", *arguments)
    assert not ApiToken.objects.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--expires", "30y"], "argument --expires: '30y' is no span: write 90s, 15m, 12h, 30d or 8w"),
        (["--expires", "999999w"], "argument --expires: '999999w' lies beyond the calendar"),
        (["--sworm", "No"], "argument --sworm: sworm name"),
    ],
)
def test_wrong_usage_ends_with_2_and_speaks_of_sworm(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        token.Command().run_from_argv(["manage.py", "token", "create", "ci", "--scope", "read", *arguments])
    told = capsys.readouterr().err
    assert ended.value.code == 2
    assert told.startswith("usage: sworm token create ")
    assert said in told


def test_a_refusal_is_one_line_of_sworm(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        signin.Command().run_from_argv(["manage.py", "signin", "--user", "nobody", "--no-color"])
    assert ended.value.code == 1
    assert capsys.readouterr().err == "sworm: no active account is named 'nobody'\n"


def test_a_link_is_printed_and_works() -> None:
    link = run("signin", "--url", "http://here/")
    assert link.startswith("http://here/signin/")
    assert consume_sign_in_link(link.rpartition("/")[2]).is_superuser


def test_a_database_that_does_not_answer_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OperationalError("connection refused\n")

    monkeypatch.setattr("registry.management.commands.signin.owner", refuse)
    monkeypatch.setattr("registry.management.commands.token.issue_token", refuse)
    for command in (["signin"], ["token", "create", "ci", "--scope", "read"]):
        with pytest.raises(CommandError, match=r"^PostgreSQL does not answer: connection refused$"):
            run(*command)


def test_a_link_for_somebody_and_json() -> None:
    run("createsuperuser", "--username", "ann", "--email", "", "--no-input")
    made = json.loads(run("signin", "--url", "http://here", "--user", "ann", "--json"))
    assert made["user"] == "ann"
    assert consume_sign_in_link(made["sign_in_url"].rpartition("/")[2]).get_username() == "ann"
    with pytest.raises(CommandError, match="nobody"):
        run("signin", "--user", "nobody")
