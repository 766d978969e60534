"""Django's settings as whole programs see them: with everything, with an agent's environment, with a bad value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: Loads Django, and says what an agent could get at.
PROGRAM = """
import json, django
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
django.setup()
try:
    signs = bool(settings.SECRET_KEY)
except ImproperlyConfigured:
    signs = False
print(json.dumps({
    "engine": settings.DATABASES["default"]["ENGINE"],
    "pool": settings.DATABASES["default"].get("OPTIONS", {}).get("pool", {}),
    "signs": signs,
    "layer": settings.CHANNEL_LAYERS.get("default", {}).get("BACKEND"),
    "secure": [settings.SESSION_COOKIE_SECURE, settings.SECURE_SSL_REDIRECT, settings.DEBUG],
}))
"""


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    own = {"PATH": os.environ["PATH"], "DJANGO_SETTINGS_MODULE": "swormweb.settings", **environ}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM], env=own, cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_an_agent_needs_neither_database_nor_signing_key() -> None:
    done = run(REDIS_URL="redis://:secret@127.0.0.1:1/0", SWORM_CLUSTER_KEY="k" * 32)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["engine"] == "django.db.backends.dummy"
    assert not told["signs"]


def test_the_control_plane_has_a_pool_and_a_channel_layer() -> None:
    done = run(
        DATABASE_URL="postgresql://u:p@127.0.0.1:1/db", REDIS_URL="redis://127.0.0.1:1/0", SWORM_SECRET_KEY="s" * 50
    )
    told = json.loads(done.stdout)
    assert told["pool"]["max_size"] > 0
    assert "pubsub" in told["layer"]
    assert told["signs"]
    assert told["secure"] == [False, False, False]


def test_https_makes_the_cookies_secure() -> None:
    told = json.loads(run(SWORM_HTTPS="1", SWORM_ALLOWED_HOSTS="sworm.example").stdout)
    assert told["secure"] == [True, True, False]


@pytest.mark.parametrize("program", [["manage.py", "check"], ["-m", "daphne", "swormweb.asgi:application"]])
def test_a_bad_value_ends_the_start_with_one_line(program: list[str]) -> None:
    environ = {"PATH": os.environ["PATH"], "SWORM_MESH_PRESET": "wlan"}
    done = subprocess.run(
        [sys.executable, *program], env=environ, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "sworm: SWORM_MESH_PRESET is 'wlan'; it must be one of local, lan, wan\n"
