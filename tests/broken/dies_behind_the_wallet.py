"""`solidgreen`, but its process is gone the moment a registration is to be written, behind its wallet."""

from __future__ import annotations

import os
import signal
import sys

from cli.main import main
from engine import logins


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


logins.add_player = _die  # type: ignore[assignment]

if __name__ == "__main__":
    sys.exit(main())
