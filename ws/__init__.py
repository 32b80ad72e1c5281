"""The doors: the wire of PROTOCOL on one side, commands and outcomes on the other.

`messages`, `codec` and `protocol` are pure; `session`, `hub`, `auth`, `http`, `settings`, `serve` and
`app` are the shell. Only `app` and `cli/` open the store.
"""
