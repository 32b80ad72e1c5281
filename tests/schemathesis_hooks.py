"""For Schemathesis, in its own process: undeclared methods are tried without the body of the declared one.

It would send one with GET or TRACE as well, and then it hears of the body (400: nothing here reads one there)
and not of the method (405), which is what it asks about.
"""

from __future__ import annotations

from typing import Any

import schemathesis
from schemathesis.core import NOT_SET

WITHOUT_BODY = {"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"}


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Take the body away."""
    if case.method.upper() in WITHOUT_BODY:
        case.body = NOT_SET
