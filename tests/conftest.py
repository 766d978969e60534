"""What every test can count on: real PostgreSQL and Valkey servers, and settings that lead to them.

Law: the servers are started once for a session, when the first test needs one, and are the project's own embedded ones
unless DATABASE_URL or REDIS_URL name others. A service that cannot be had fails the test; nothing is skipped. The
environment is set before Django reads its settings, which is why this file names the settings module itself.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from swormweb.launch import ports
from swormweb.launch.postgres import Postgres
from swormweb.launch.process import Running, end
from swormweb.launch.valkey import Valkey

# A property test judges what is computed, never how fast a busy machine computes it.
hypothesis.settings.register_profile("sworm", deadline=None, derandomize=bool(os.environ.get("CI")))
hypothesis.settings.load_profile("sworm")

#: The servers end with this process, however it ends.
TIED = ("setpriv", "--pdeathsig", "INT") if shutil.which("setpriv") else ()

#: Durability is worth nothing to a database that is thrown away.
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "100"}


def _planned() -> tuple[Postgres, Valkey]:
    folder = Path(tempfile.gettempdir()) / f"sworm-tests-{os.getpid()}"
    first = ports.choose(set())
    password = secrets.token_hex(16)
    postgres = Postgres(folder / "postgres", first, password, folder / "postgres.log", settings=FAST, wrapper=TIED)
    valkey = Valkey(folder / "valkey", ports.choose({first}), password, folder / "valkey.log", False, TIED)
    return postgres, valkey


POSTGRES, VALKEY = _planned()
OWN_POSTGRES = not os.environ.get("DATABASE_URL")
OWN_VALKEY = not os.environ.get("REDIS_URL")

os.environ["DJANGO_SETTINGS_MODULE"] = "swormweb.settings"
os.environ.setdefault("SWORM_SECRET_KEY", secrets.token_hex(32))
os.environ.setdefault("SWORM_CLUSTER_KEY", secrets.token_hex(32))
os.environ["SWORM_DATABASE_POOL"] = "0"  # a pool's connections would keep the test database from being dropped
if OWN_POSTGRES:
    os.environ["DATABASE_URL"] = POSTGRES.url
if OWN_VALKEY:
    os.environ["REDIS_URL"] = VALKEY.url


def pytest_configure(config: pytest.Config) -> None:
    """What tests need different in Django's settings: static files as they lie, and cheap passwords."""
    settings.STORAGES["staticfiles"]["BACKEND"] = "django.contrib.staticfiles.storage.StaticFilesStorage"
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(scope="session")
def _servers_folder() -> Iterator[Path]:
    folder = POSTGRES.folder.parent
    folder.mkdir(mode=0o700)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def database_url(_servers_folder: Path) -> Iterator[str]:
    """The URL of a running PostgreSQL server."""
    if not OWN_POSTGRES:
        yield os.environ["DATABASE_URL"]
        return
    POSTGRES.initialize()
    server = POSTGRES.start_ready()
    yield POSTGRES.url
    end([Running.of(server.pid)], signal.SIGINT, 10)
    server.wait()


@pytest.fixture(scope="session")
def redis_url(_servers_folder: Path) -> Iterator[str]:
    """The URL of a running broker."""
    if not OWN_VALKEY:
        yield os.environ["REDIS_URL"]
        return
    server = VALKEY.start_ready()
    yield VALKEY.url
    end([Running.of(server.pid)], signal.SIGTERM, 10)
    server.wait()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(database_url: str, redis_url: str) -> None:
    """pytest-django asks for this before it makes the test database: by then both servers run."""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The audit refuses to be emptied, but tests with real transactions empty all tables after them. And before the
    test database is dropped, whoever still holds it lets go: threads left to end by themselves.
    """
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE registry_auditentry DISABLE TRIGGER audit_no_truncate")
    yield
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        cursor.execute(others, [cursor.fetchone()[0]])


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests in a browser come last: Playwright keeps an event loop in this thread, which no other test must meet."""
    items.sort(key=lambda item: "browser" in item.path.parts)
