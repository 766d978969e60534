"""Every setting: its default, good values, bad ones, and the sentence that a bad one gets."""

from __future__ import annotations

import pytest

from swormweb.environ import SETTINGS, BadSetting, parse_database, read

GOOD = [
    ("SWORM_MESH_PRESET", "local", "mesh_preset", "local"),
    ("SWORM_QUORUM_HOSTS", "3", "quorum_hosts", 3),
    (
        "SWORM_JOIN",
        "ws://127.0.0.1:7001, wss://n2.example:443",
        "join",
        ("ws://127.0.0.1:7001", "wss://n2.example:443"),
    ),
    ("SWORM_ALLOWED_MODULES", "examples,my_workers.sub", "allowed_modules", ("examples", "my_workers.sub")),
    ("SWORM_CLUSTER_KEY", "k" * 32, "cluster_key", b"k" * 32),
    ("SWORM_SECRET_KEY", "s" * 50, "secret_key", "s" * 50),
    ("REDIS_URL", "redis://:secret@127.0.0.1:6379/0", "redis_url", "redis://:secret@127.0.0.1:6379/0"),
    ("REDIS_URL", "unix:///run/valkey.sock", "redis_url", "unix:///run/valkey.sock"),
    ("SWORM_URL", "http://127.0.0.1:8000/", "url", "http://127.0.0.1:8000"),
    ("SWORM_TOKEN", "swm_" + "t" * 43, "token", "swm_" + "t" * 43),
    ("SWORM_ALLOWED_HOSTS", "sworm.example,[::1]", "allowed_hosts", ("sworm.example", "[::1]")),
    ("SWORM_HTTPS", "1", "https", True),
    ("SWORM_DATABASE_POOL", "0", "database_pool", 0),
    ("SWORM_LOG_LEVEL", "DEBUG", "log_level", "DEBUG"),
    ("SWORM_EVENT_DAYS", "7", "event_days", 7),
    ("SWORM_SNAPSHOT_SECONDS", "60", "snapshot_seconds", 60),
    ("SWORM_SNAPSHOT_HOURS", "2", "snapshot_hours", 2),
    ("SWORM_MAP_DAYS", "0.5", "map_days", 0.5),
    ("SWORM_STATIC_ROOT", "/srv/static", "static_root", "/srv/static"),
]

BAD = [
    ("SWORM_MESH_PRESET", "wlan"),
    ("SWORM_QUORUM_HOSTS", "0"),
    ("SWORM_JOIN", "127.0.0.1:7001"),
    ("SWORM_JOIN", "ws://127.0.0.1:7001,"),
    ("SWORM_JOIN", "ws://127.0.0.1:99999"),
    ("SWORM_ALLOWED_MODULES", "examples,my-workers"),
    ("SWORM_ALLOWED_MODULES", "examples:Counter"),
    ("SWORM_CLUSTER_KEY", "k" * 31),
    ("SWORM_SECRET_KEY", "s" * 49),
    ("REDIS_URL", "amqp://127.0.0.1"),
    ("REDIS_URL", "redis://"),
    ("SWORM_URL", "127.0.0.1:8000"),
    ("SWORM_TOKEN", "secret"),
    ("SWORM_ALLOWED_HOSTS", "http://sworm.example"),
    ("SWORM_HTTPS", "yes"),
    ("SWORM_DATABASE_POOL", "-1"),
    ("SWORM_DATABASE_POOL", "many"),
    ("SWORM_LOG_LEVEL", "loud"),
    ("SWORM_EVENT_DAYS", "0"),
    ("SWORM_SNAPSHOT_SECONDS", "0.5"),
    ("SWORM_SNAPSHOT_HOURS", "forever"),
    ("SWORM_OPERATION_DAYS", "1e3"),
    ("DATABASE_URL", "mysql://u@h/db"),
    ("DATABASE_URL", "postgresql://u@h"),
    ("DATABASE_URL", "postgresql:///db"),
    ("DATABASE_URL", "postgresql://u@h:port/db"),
]


@pytest.mark.parametrize(("name", "text", "field", "value"), GOOD)
def test_a_good_value_is_read(name: str, text: str, field: str, value: object) -> None:
    assert getattr(read({name: text}), field) == value


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_bad_value_is_named_with_what_would_be_right(name: str, text: str) -> None:
    with pytest.raises(BadSetting) as caught:
        read({name: text})
    said = str(caught.value)
    assert said.startswith(f"{name} is ")
    assert "; it must be " in said
    assert "\n" not in said


@pytest.mark.parametrize(("name", "text"), BAD)
def test_a_secret_is_never_repeated(name: str, text: str) -> None:
    secret = next(setting for setting in SETTINGS.values() if setting.name == name).secret
    with pytest.raises(BadSetting) as caught:
        read({name: text})
    assert (repr(text) in str(caught.value)) is not secret


def test_nothing_set_is_an_environment_that_works() -> None:
    found = read({})
    assert found.database is None
    assert found.allowed_modules == ("examples",)
    assert found.mesh_preset == "lan"
    assert found.allowed_hosts == ("127.0.0.1", "localhost", "[::1]")


def test_an_empty_value_is_as_good_as_none() -> None:
    assert read({setting.name: "" for setting in SETTINGS.values()}) == read({})


def test_a_database_url_is_taken_apart() -> None:
    found = parse_database("postgresql://some%40one:p%2Fw@db.example:5433/sworm?sslmode=require")
    assert found == {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "sworm",
        "USER": "some@one",
        "PASSWORD": "p/w",
        "HOST": "db.example",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_database_may_be_reached_by_its_socket() -> None:
    found = parse_database("postgres:///sworm?host=/run/postgresql")
    assert (found["HOST"], found["NAME"], found["OPTIONS"]) == ("/run/postgresql", "sworm", {})
