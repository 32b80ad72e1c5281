"""Servers that break one promise each, to see that the harnesses which look for it find it.

Each module is run in the place of `cli.main`, with its arguments. Nothing but tests may import them.
"""
