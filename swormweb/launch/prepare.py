"""Makes a cluster's database ready, and its owner's token and sign-in link: `python -m swormweb.launch.prepare`.

Law: a process of its own, because the launcher loads no Django. It reads one JSON object from its input (`url`,
`token`, `migrate`, `collect`) and writes one to its output (`token`, `sign_in_url`); whatever goes wrong stands on
its stderr.
"""

from __future__ import annotations

import fcntl
import json
import os
import sys
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swormweb.settings")
django.setup()

from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.utils import timezone  # noqa: E402

from registry import auth, scopes  # noqa: E402
from registry.models import ApiToken  # noqa: E402

#: Name of the token that `up` writes into `cluster.json`.
TOKEN_NAME = "up"  # noqa: S105 - a name


def _still_good(token: str) -> bool:
    try:
        return bool(token) and auth.principal_of_token(token).scopes == scopes.ALL
    except auth.NotValid:
        return False


def _new_token() -> str:
    """A token with every scope; the earlier ones of that name are worth nothing from now on."""
    earlier = ApiToken.objects.filter(name=TOKEN_NAME, created_by="cli", revoked_at=None)
    earlier.update(revoked_at=timezone.now())
    token, _ = auth.issue_token(TOKEN_NAME, scopes.ALL, created_by="cli")
    return token


def _collect() -> None:
    """Gather the static files; two clusters of one checkout share them, so one at a time."""
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    with (settings.STATIC_ROOT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        call_command("collectstatic", interactive=False, verbosity=0)


def run(request: dict[str, Any]) -> dict[str, str]:
    """Do what was asked."""
    if request["collect"]:
        _collect()
    if request["migrate"]:
        call_command("migrate", interactive=False, verbosity=0)
    token = request["token"]
    if not _still_good(token):
        token = _new_token()
    link = auth.create_sign_in_link(auth.owner())
    return {"token": token, "sign_in_url": f"{request['url']}/signin/{link}"}


if __name__ == "__main__":
    text = sys.stdin.read()
    if text:
        json.dump(run(json.loads(text)), sys.stdout)
