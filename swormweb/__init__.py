"""The composition root: settings, URLs, ASGI, page views, the launcher and the command line.

Law: this package may import everything and is imported by nothing outside of it.
"""
