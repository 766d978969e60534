"""What our management commands share: people meet them as commands of `./sworm`.

Law: usage names `sworm`, and a refusal is one sentence after its name, as from the rest of the command line; whoever
calls a command from code gets the CommandError itself.
"""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser


class SwormCommand(BaseCommand):
    """A management command behind `./sworm`."""

    _called_from_command_line: bool  # Django's own, which its stubs leave out

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The parser, which speaks of `sworm` whatever program runs it."""
        return super().create_parser("sworm", subcommand, **kwargs)

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run it; from the command line a refusal ends the program with the error's status."""
        try:
            return super().execute(*args, **options)
        except CommandError as error:
            if not self._called_from_command_line or options["traceback"]:
                raise
            self.stderr.write(f"sworm: {error}")
            sys.exit(error.returncode)
