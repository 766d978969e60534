"""Helpers: asked they answer, unasked they go without a trace, failing they say why."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from swormweb.launch.errors import PartFailed
from swormweb.launch.helper import Helper, last_line

ECHO = (sys.executable, "-c", "import sys; text = sys.stdin.read(); print(text.upper() if text else 'nobody asked')")
FAIL = (sys.executable, "-c", "import sys; sys.stdin.read(); print('it is late'); sys.exit('no ink left')")


@pytest.fixture
def log(tmp_path: Path) -> Path:
    log = tmp_path / "helper.log"
    log.write_text("Traceback of an earlier day\n")
    return log


def test_it_answers_what_it_is_asked(log: Path) -> None:
    with Helper(ECHO, os.environ, log) as helper:
        assert helper.ask(["word"]) == '["WORD"]\n'
    assert log.read_text() == "Traceback of an earlier day\n"


def test_asked_nothing_it_ends_and_leaves_no_process(log: Path) -> None:
    with Helper(ECHO, os.environ, log) as helper:
        process = helper._process
    assert process.returncode == 0


def test_its_last_words_are_the_reason(log: Path) -> None:
    with Helper(FAIL, os.environ, log) as helper, pytest.raises(PartFailed, match=r"helper failed: no ink left \("):
        helper.ask({})


def test_one_that_said_nothing_is_not_given_the_words_of_an_earlier_one(log: Path) -> None:
    silent = (sys.executable, "-c", "import sys; sys.stdin.read(); sys.exit(3)")
    with Helper(silent, os.environ, log) as helper, pytest.raises(PartFailed, match="it said nothing"):
        helper.ask({})


def test_the_last_line_that_says_something_counts() -> None:
    assert last_line("one\ntwo\n\n  \n") == "two"
    assert last_line("") == "it said nothing"
