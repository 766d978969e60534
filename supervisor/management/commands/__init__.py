"""`manage.py agent` and `manage.py observer`."""
