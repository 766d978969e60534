#!/usr/bin/env python3
"""Django's own command line: the parts of the control plane and the agents are commands of it.

Law: nothing is decided here. `./sworm` is the door for people; this one is what it opens.
"""

from __future__ import annotations

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run one management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "swormweb.settings")
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
