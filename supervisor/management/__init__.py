"""The supervisor's management commands."""
