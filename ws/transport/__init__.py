"""Bytes: how much of them, how fast and for how long, of WebSockets and of HTTP."""
