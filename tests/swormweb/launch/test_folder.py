"""Which folders a cluster takes, and the files in it."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from swormweb.launch.errors import FolderRefused, LaunchError
from swormweb.launch.folder import Folder


def listing(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_a_missing_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path / "some" / "where")
    assert folder.path.stat().st_mode & 0o777 == 0o700
    assert folder.is_claimed


@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_an_empty_folder_is_taken_as_it_is(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "empty"
    path.mkdir()
    path.chmod(mode)
    Folder.claim(path)
    assert path.stat().st_mode & 0o777 == mode


def test_a_folder_of_ours_is_taken_again_with_what_it_knows(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path)
    folder.write_state({**folder.read_state(), "ports": {"web": 1}})
    assert Folder.claim(tmp_path).read_state()["ports"] == {"web": 1}


def test_a_foreign_folder_is_refused_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    (tmp_path / "postgres").mkdir()
    before, modified = listing(tmp_path), tmp_path.stat().st_mtime_ns
    with pytest.raises(FolderRefused, match=r"holds other things \(postgres, thesis.tex\)"):
        Folder.claim(tmp_path)
    assert listing(tmp_path) == before
    assert tmp_path.stat().st_mtime_ns == modified


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("words")
    with pytest.raises(FolderRefused, match="is not a folder"):
        Folder.claim(path)
    assert path.read_text() == "words"


def test_a_place_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(FolderRefused, match="cannot be used"):
        Folder.claim(Path("/proc/sworm"))


@pytest.mark.parametrize("text", ['{"format": 99}', "{}", "no json", "[]"])
def test_a_state_of_another_kind_is_refused_untouched(tmp_path: Path, text: str) -> None:
    (tmp_path / "state.json").write_text(text)
    with pytest.raises(FolderRefused, match="not written by this version"):
        Folder.claim(tmp_path)
    assert listing(tmp_path) == {"state.json": text.encode()}


def test_a_first_start_that_was_cut_short_left_an_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "lock").touch()
    (tmp_path / "state.json.new").write_text("{")
    assert Folder.claim(tmp_path).is_claimed


def test_only_a_folder_of_ours_exists(tmp_path: Path) -> None:
    with pytest.raises(FolderRefused, match="is not the folder of a cluster"):
        Folder.existing(tmp_path)
    with pytest.raises(FolderRefused, match="is not the folder of a cluster"):
        Folder.existing(tmp_path / "missing")
    Folder.claim(tmp_path)
    assert Folder.existing(tmp_path).path == tmp_path


def test_what_it_writes_is_for_the_owner_only(tmp_path: Path) -> None:
    folder = Folder.claim(tmp_path)
    before = os.umask(0)
    try:
        folder.write_cluster({"token": "swm_secret"})
    finally:
        os.umask(before)
    assert (tmp_path / "cluster.json").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "state.json").stat().st_mode & 0o777 == 0o600
    assert json.loads((tmp_path / "cluster.json").read_text()) == {"token": "swm_secret"}
    folder.remove_cluster()
    assert folder.read_cluster() is None


def test_two_launchers_take_turns(tmp_path: Path) -> None:
    first, second = Folder.claim(tmp_path), Folder.claim(tmp_path)
    with first.lock(), pytest.raises(LaunchError, match="is at work"), second.lock(patience=0):
        pass
    with second.lock(patience=0):
        pass
