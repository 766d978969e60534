"""An agent on a machine whose clock is a minute ahead: the real one, told another time of day.

Law: the time of day is replaced before anything of the agent is loaded, and nothing else is; real time passes as ever.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

#: Seconds that its clock is ahead.
AHEAD = 60

_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + AHEAD
time.time_ns = lambda: _time_ns() + AHEAD * 1_000_000_000

from manage import main  # noqa: E402

if __name__ == "__main__":
    main()
