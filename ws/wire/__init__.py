"""The messages of PROTOCOL, as types: their fields, and which answers each may get. Pure."""
