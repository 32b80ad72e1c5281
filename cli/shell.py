"""Who is at this command line, as the audit log names him: where a command writes to a file itself, and where
it has the server do it that serves the file.
"""

from __future__ import annotations

import os
import pwd
import socket
import time
from typing import Final

from engine.actors import Actor, at_a_shell
from ws.auth import SHELL_CHARS_MAX, issue

TOKEN_ID: Final = 1
"""The `sub` of this command line's own tokens: a token must have one, and whoever can read the secret acts as
anybody. Nothing is done in its name (`ws.effects.Identity.shell`)."""

TOKEN_LIFE_S: Final = 60


def at_the_shell() -> Actor:
    """Who runs this very command."""
    number = os.getuid()
    try:
        name = pwd.getpwuid(number).pw_name
    except KeyError:  # a user that only the kernel knows, as in a container
        name = str(number)
    who = f"{name}@{socket.gethostname()}"[:SHELL_CHARS_MAX]
    return at_a_shell("".join(each if each.isprintable() else "?" for each in who))


def own_token(secret: str, role: str) -> str:
    """An access token by which the server knows whoever runs this very command; good for `TOKEN_LIFE_S`."""
    shell = at_the_shell().address
    return issue(secret, TOKEN_ID, role, int(time.time()), TOKEN_LIFE_S, shell=shell)
