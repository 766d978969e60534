"""The settings that come from the environment: their names, defaults, and what a good value is.

Law: pure. `read` turns a mapping into one frozen value or raises `BadSetting`, whose message names the setting, the
value and what would be right; a secret's value is never repeated. Nothing else in the project reads a setting from
`os.environ`, and no value is accepted and ignored.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

Value = TypeVar("Value")

PRESETS = ("local", "lan", "wan")
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

#: Least length of the mesh's shared key, in bytes: as long as the digest that it keys.
MIN_CLUSTER_KEY = 32
#: Least length of the key that signs sessions, in characters: Django's own advice.
MIN_SECRET_KEY = 50

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z")
_HOST = re.compile(r"\.?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?\Z|\[[0-9a-fA-F:]+\]\Z|\*\Z")
_TOKEN = re.compile(r"swm_[A-Za-z0-9_-]{16,}\Z")


class BadSetting(ValueError):
    """A setting has a value that cannot work: `NAME is VALUE; it must be …`, in one line."""

    def __init__(self, name: str, value: str, right: str) -> None:
        super().__init__(f"{name} is {value}; it must be {right}")


@dataclass(frozen=True)
class Environment:
    """Every setting, read and checked."""

    database: dict[str, Any] | None  #: Django's connection parameters; None: no database here (an agent)
    redis_url: str  #: empty: no broker here
    secret_key: str  #: empty: nothing may be signed here (an agent)
    cluster_key: bytes  #: empty: no mesh from here
    join: tuple[str, ...]
    allowed_modules: tuple[str, ...]
    mesh_preset: str
    quorum_hosts: int
    url: str  #: where the command line and the clients find the control plane
    token: str
    allowed_hosts: tuple[str, ...]
    https: bool  #: behind TLS: cookies are for HTTPS only and HTTP is redirected
    proxies: int  #: proxies of our own in front of the web part: so many entries of X-Forwarded-For are believed
    static_root: str  #: where `collectstatic` puts files; empty: `staticfiles` in the project
    database_pool: int  #: most connections a process holds; 0: no pool
    log_level: str
    event_days: float  #: how long the observer keeps events
    map_days: float  #: for how long the map can be told as it stood
    operation_days: float  #: how long operations are kept after their end
    idempotency_hours: float  #: how long the answers to repeated requests
    snapshot_seconds: int  #: how often it records every node's replicas
    snapshot_hours: float  #: and how long it keeps these records


def _text(text: str) -> str:
    return text


def _choice(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return text

    return parse


def _boolean(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _whole(least: int, most: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and least <= int(text) <= most):
            raise ValueError(f"a whole number from {least} to {most}")
        return int(text)

    return parse


def _number(least: float, most: float) -> Callable[[str], float]:
    def parse(text: str) -> float:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", text, re.ASCII) or not least <= float(text) <= most:
            raise ValueError(f"a number from {least:g} to {most}")
        return float(text)

    return parse


def _list(good: Callable[[str], bool], right: str) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        items = tuple(item.strip() for item in text.split(","))
        if not all(map(good, items)):
            raise ValueError(right)
        return items

    return parse


def _address(text: str, schemes: tuple[str, ...]) -> bool:
    """Whether a URL has one of the schemes, a host, and a port that can be one."""
    try:
        url = urlsplit(text)
        return url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:
        return False


def _is_mesh_url(text: str) -> bool:
    return _address(text, ("ws", "wss"))


def _redis(text: str) -> str:
    if text.startswith("unix:///") or _address(text, ("redis", "rediss")):
        return text
    raise ValueError("redis://[:password@]host:port[/number], rediss://… or unix:///path")


def _web(text: str) -> str:
    if not _address(text, ("http", "https")):
        raise ValueError("http://host:port or https://host[:port]")
    return text.rstrip("/")


def _long_enough(least: int, unit: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        size = len(text.encode()) if unit == "bytes" else len(text)
        if size < least:
            raise ValueError(f"at least {least} {unit} long")
        return text

    return parse


def _cluster_key(text: str) -> bytes:
    return _long_enough(MIN_CLUSTER_KEY, "bytes")(text).encode()


def _token(text: str) -> str:
    if not _TOKEN.match(text):
        raise ValueError("a token as `./sworm token create` prints it, swm_…")
    return text


def parse_database(text: str) -> dict[str, Any]:
    """Django's parameters of a PostgreSQL connection URL; `ValueError` says what would be right.

    Query parameters (`?sslmode=require`, `?host=/path` for a socket) go to libpq as they are.
    """
    right = "postgresql://user[:password]@host[:port]/name[?option=value]"
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:
        raise ValueError(right) from None
    name = unquote(url.path.lstrip("/"))
    options: dict[str, Any] = {key: values[-1] for key, values in parse_qs(url.query).items()}
    host = options.pop("host", unquote(url.hostname or ""))
    if url.scheme not in ("postgres", "postgresql") or not name or not host:
        raise ValueError(right)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(url.username or ""),
        "PASSWORD": unquote(url.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
        "OPTIONS": options,
    }


@dataclass(frozen=True)
class _Setting:
    """How one setting is read. `secret`: its value must not appear in a message or a log."""

    name: str
    parse: Callable[[str], Any]
    default: Any
    secret: bool = False


#: Field of `Environment` -> how it is read.
SETTINGS: dict[str, _Setting] = {
    "database": _Setting("DATABASE_URL", parse_database, None, secret=True),
    "redis_url": _Setting("REDIS_URL", _redis, "", secret=True),
    "secret_key": _Setting("SWORM_SECRET_KEY", _long_enough(MIN_SECRET_KEY, "characters"), "", secret=True),
    "cluster_key": _Setting("SWORM_CLUSTER_KEY", _cluster_key, b"", secret=True),
    "join": _Setting("SWORM_JOIN", _list(_is_mesh_url, "mesh URLs with commas between, each ws://host:port"), ()),
    "allowed_modules": _Setting(
        "SWORM_ALLOWED_MODULES",
        _list(lambda item: bool(_MODULE.match(item)), "names of modules with commas between, as examples,my_workers"),
        ("examples",),
    ),
    "mesh_preset": _Setting("SWORM_MESH_PRESET", _choice(*PRESETS), "lan"),
    "quorum_hosts": _Setting("SWORM_QUORUM_HOSTS", _whole(1, 1000), 1),
    "url": _Setting("SWORM_URL", _web, ""),
    "token": _Setting("SWORM_TOKEN", _token, "", secret=True),
    "allowed_hosts": _Setting(
        "SWORM_ALLOWED_HOSTS",
        _list(lambda item: bool(_HOST.match(item)), "host names with commas between, without port"),
        ("127.0.0.1", "localhost", "[::1]"),
    ),
    "https": _Setting("SWORM_HTTPS", _boolean, False),
    "proxies": _Setting("SWORM_PROXIES", _whole(0, 10), 0),
    "static_root": _Setting("SWORM_STATIC_ROOT", _text, ""),
    "database_pool": _Setting("SWORM_DATABASE_POOL", _whole(0, 1000), 20),
    "log_level": _Setting("SWORM_LOG_LEVEL", _choice(*LOG_LEVELS), "INFO"),
    "event_days": _Setting("SWORM_EVENT_DAYS", _number(0.001, 36_500), 30),
    "map_days": _Setting("SWORM_MAP_DAYS", _number(0.001, 36_500), 7),
    "operation_days": _Setting("SWORM_OPERATION_DAYS", _number(0.001, 36_500), 90),
    "idempotency_hours": _Setting("SWORM_IDEMPOTENCY_HOURS", _number(0.01, 87_600), 24),
    "snapshot_seconds": _Setting("SWORM_SNAPSHOT_SECONDS", _whole(1, 86_400), 10),
    "snapshot_hours": _Setting("SWORM_SNAPSHOT_HOURS", _number(0.01, 87_600), 24),
}


def _read_one(setting: _Setting, environ: Mapping[str, str]) -> Any:
    text = environ.get(setting.name, "")
    if not text:  # an empty value is how shells and unit files say "not set"
        return setting.default
    try:
        return setting.parse(text)
    except ValueError as error:
        shown = f"a text of {len(text)} characters (not shown)" if setting.secret else repr(text)
        raise BadSetting(setting.name, shown, str(error)) from None


def read(environ: Mapping[str, str]) -> Environment:
    """Read every setting, or raise `BadSetting` for the first that cannot work."""
    return Environment(**{field.name: _read_one(SETTINGS[field.name], environ) for field in fields(Environment)})
