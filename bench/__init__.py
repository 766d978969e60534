"""What Sworm reaches, measured: `./sworm bench`.

Law: everything is measured on real agents, separate operating-system processes, over the real mesh on the loopback
address; the callers are workers inside an agent. A figure is printed as it came out, beside its target; nothing here
is a test, and no test asserts a time.
"""
