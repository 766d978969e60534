"""Commands of `manage.py` that concern access to the control plane."""
