"""Completion: what the shells offer is what there is."""

from __future__ import annotations

import subprocess
from pathlib import Path

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


def test_a_name_is_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ["$(touch ran)", "`touch ran`", "a;touch ran", "*", "~", "plain-1.2:x"]
    ps = ", ".join(f'{{"sworm": "rooms", "name": "{name}"}}' for name in names)
    monkeypatch.setattr("tests.swormweb.cli.test_completion.FAKE", f"sworm_fake() {{ echo '[{ps}]'; }}\n")
    assert "plain-1.2:x" in offered("whereis", "rooms", "")
    assert list(tmp_path.iterdir()) == []


def test_fish_is_told_the_same() -> None:
    lines = script("fish").splitlines()
    (first,) = [line for line in lines if line.startswith('complete -c sworm -f -n "test')]
    assert set(first.split('-a "')[1].strip('"').split()) == {
        "up",
        "down",
        "completion",
        *elsewhere.COMMANDS,
        *verbs.VERBS,
    }
    of = 'complete -c sworm -f -n "__fish_seen_subcommand_from {}" '
    assert of.format("events") + "-l follow" in lines
    assert of.format("events") + "-l since -r" in lines
    assert of.format("ps") + f'-l sort -x -a "{" ".join(verbs.SORTS)}"' in lines
    assert of.format("ps") + '-l node -x -a "(_sworm_asked node)"' in lines
    assert 'complete -c sworm -f -n "_sworm_at whereis 3" -a "(_sworm_asked name)"' in lines


@pytest.mark.parametrize("shell", SHELLS)
def test_a_command_prints_it(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    assert capsys.readouterr().out == script(shell)
