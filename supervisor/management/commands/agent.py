"""`manage.py agent`: one node of the cluster, in the foreground.

Law: turns flags and settings into an `AgentConfig` and runs it; a bad value ends the start with one line and status 2.
"""

from __future__ import annotations

import sys
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from registry.management.command import SwormCommand
from supervisor import agent, config


class Command(SwormCommand):
    """The command line of an agent."""

    help = "Run one node agent in the foreground. SIGTERM drains it; it exits 0 when it is empty."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """The flags."""
        parser.add_argument("--name", required=True, help="the node's name, unique in the cluster")
        parser.add_argument(
            "--join", action="append", default=[], metavar="URL", help="mesh URL of a node (SWORM_JOIN when not given)"
        )
        parser.add_argument("--listen", default=config.LISTEN, metavar="HOST:PORT", help="address of the mesh port")
        parser.add_argument("--sworms", default="*", metavar="A,B", help="sworms to host (default: all)")
        parser.add_argument("--label", action="append", default=[], metavar="K=V", help="a label; may be repeated")
        parser.add_argument("--capacity", default="1.0", help="share of the load beside other nodes (default: 1.0)")
        parser.add_argument(
            "--drain-deadline", default=str(config.DRAIN_DEADLINE), metavar="SECONDS", help="time for a drain"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Run until a signal ends it."""
        try:
            told = self._config(options)
        except config.BadFlag as error:
            raise CommandError(str(error), returncode=2) from None
        sys.exit(agent.run(told))

    def _config(self, options: dict[str, Any]) -> config.AgentConfig:
        host, port = config.parse_listen(options["listen"])
        return config.AgentConfig(
            name=config.parse_name(options["name"]),
            cluster_key=config.need_cluster_key(settings.SWORM_CLUSTER_KEY),
            redis_url=settings.REDIS_URL,
            host=host,
            port=port,
            join=config.parse_join(options["join"]) if options["join"] else settings.SWORM_JOIN,
            sworms=config.parse_sworms(options["sworms"]),
            labels=config.parse_labels(options["label"]),
            capacity=config.parse_capacity(options["capacity"]),
            allowed_modules=settings.SWORM_ALLOWED_MODULES,
            preset=settings.SWORM_MESH_PRESET,
            quorum_hosts=settings.SWORM_QUORUM_HOSTS,
            drain_deadline=config.parse_drain_deadline(options["drain_deadline"]),
        )
