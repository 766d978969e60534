"""What can keep a cluster from starting or ending, as sentences for the person who asked.

Law: one family; each message says what, which, and the next step, in one line.
"""

from __future__ import annotations


class LaunchError(Exception):
    """The cluster cannot be started or ended as asked."""


class FolderRefused(LaunchError):
    """The data folder is not one that a cluster may use; it was left as it is."""


class PartFailed(LaunchError):
    """A part did not start, or did not become ready in time."""


class Interrupted(LaunchError):
    """A signal asked to stop while the cluster was starting."""
