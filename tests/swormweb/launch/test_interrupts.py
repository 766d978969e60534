"""Interruptions of a launcher: raised once, and never between a beginning and its record."""

from __future__ import annotations

import subprocess
import sys

from swormweb.launch.parts import ROOT

PROGRAM = """
import os, signal
from swormweb.launch.errors import Interrupted
from swormweb.launch.interrupts import catch, undisturbed

catch()
try:
    with undisturbed():
        with undisturbed():
            os.kill(os.getpid(), signal.SIGTERM)
        print("recorded")
    print("never said")
except Interrupted as error:
    print(error)
os.kill(os.getpid(), signal.SIGINT)
print("undone")
"""


def test_an_interruption_waits_for_the_record_and_comes_once() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.returncode) == (["recorded", "stopped by SIGTERM", "undone"], 0), done.stderr
