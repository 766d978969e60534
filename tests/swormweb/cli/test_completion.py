"""Completion: what bash offers is what there is."""

from __future__ import annotations

import subprocess

import pytest

from swormweb.cli import elsewhere, verbs
from swormweb.cli.__main__ import main
from swormweb.cli.completion import SHELLS, script

FAKE = """sworm_fake() {
  case "$1" in
    nodes) echo '[{"name": "n1", "status": "alive"}, {"name": "n2", "status": "dead"}]' ;;
    ps) echo '[{"sworm": "rooms", "name": "lobby"}, {"sworm": "rooms", "name": "hall"}]' ;;
  esac
}
"""


def offered(*words: str) -> set[str]:
    """What bash offers after these words, of which the last is being written."""
    listed = " ".join(f"'{word}'" for word in words)
    code = f"{FAKE}{script('bash')}\nCOMP_WORDS=(sworm_fake {listed}); COMP_CWORD={len(words)}\n"
    done = subprocess.run(
        ["bash", "-euc", code + '_sworm sworm_fake; printf "%s\\n" "${COMPREPLY[@]}"'],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_every_command_is_offered() -> None:
    assert offered("") == {"up", "down", "completion", *elsewhere.COMMANDS, *verbs.VERBS}
    assert offered("no") == {"nodes"}


def test_options_and_their_choices_are_offered() -> None:
    assert {"--follow", "--since", "--json"} <= offered("events", "--")
    assert offered("ps", "--sort", "re") == {"restarts"}
    assert offered("up", "--d") == {"--data", "--detach"}
    assert offered("completion", "z") == {"zsh"}


def test_names_are_asked_of_the_cluster() -> None:
    assert offered("ps", "--node", "") == {"n1", "n2"}
    assert {"n1", "n2"} <= offered("cordon", "")
    assert offered("whereis", "ro") == {"rooms"}
    assert {"lobby", "hall"} <= offered("whereis", "rooms", "")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_prints_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == script(shell)
