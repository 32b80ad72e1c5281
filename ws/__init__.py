"""The doors: the wire of PROTOCOL on one side, commands and outcomes on the other.

`wire`, `codec` and `protocol` are pure; the others are the shell around them. Only `app` and `cli/` open the
store.
"""
