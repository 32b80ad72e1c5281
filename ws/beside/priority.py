"""How a process beside the bets gives way to them. Its parent says so, so that it does from its first moment
on: its imports take longer than much of what it is for.
"""

from __future__ import annotations

import contextlib
import os
from typing import Final

NICE: Final = 19
"""The lowest priority that has a share of its own."""


def give_way(pid: int, *, is_idle: bool = False) -> None:
    """Give a process that was just started, and all its threads to come, the lowest priority. `is_idle`: it
    runs only when nobody else wants the processor.

    Bets wait less beside an idle process than beside one that is merely nice; but an idle one gets nothing
    where others want all cores (figures: docs/adr/0029).
    """
    with contextlib.suppress(ProcessLookupError):  # it has ended already
        os.setpriority(os.PRIO_PROCESS, pid, NICE)
        if is_idle and hasattr(os, "SCHED_IDLE"):  # Linux
            with contextlib.suppress(PermissionError):  # some containers forbid it
                os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0))
