"""Workers to learn from; `./sworm up` runs them as its demo.

Law: each module reads as a tutorial and uses the public API only.
"""
