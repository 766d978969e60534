"""The event that the import of `blocking` waits for."""

import threading

release = threading.Event()
