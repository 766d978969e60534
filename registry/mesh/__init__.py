"""Moves frames between nodes and understands none of them: protocol, codec, websocket links, memory twin.

Law: nothing of `registry` but `core.ids`, `core.names`, `core.messages` and `core.directory` is known here, and these
only as shapes of values; Django is not.
"""
