"""The log: a line for each event on standard error, for people or for programs.

The rooms log by the standard library, and know nothing of this; `configure` hands what they say through a
chain of structlog's processors (https://www.structlog.org/en/stable/standard-library.html). Whatever a
stranger has sent is written so that it can neither begin a line of its own nor steer a terminal, and what
looks like a secret is left out, in both formats.

What is logged while a request is answered has its name (`ws/http/request_ids.py`), and what a line was given
as `extra` by the names of `GIVEN`.
"""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from structlog.processors import JSONRenderer, format_exc_info
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

from ws.http.request_ids import request_id
from ws.watching.noise import Spared

FORMATS: Final = ("auto", "text", "json")
"""How lines may be written; `auto`: text on a terminal, JSON elsewhere."""

GIVEN: Final = ("request_id", "bet_id")
"""What a line may say beside its words."""

TALKATIVE: Final = ("aiosqlite", "urllib3", "websockets")
"""Libraries that tell at level debug what they are given: rows, headers, messages. None of it is logged."""

LEFT_OUT: Final = "[left out]"

_SECRETS: Final = (
    # What our own tokens begin with is {" in base64, whatever follows (RFC 7515, section 3.1).
    (re.compile(r"eyJ[\w-]{8,}(?:\.[\w-]*){0,4}"), LEFT_OUT),
    (re.compile(r"\bsgr?_[\w-]{6,}"), LEFT_OUT),
    (re.compile(r"(?i)\b(bearer|basic)\s{1,9}[\w.~+/=-]{6,}"), rf"\1 {LEFT_OUT}"),
    (
        re.compile(r"(?i)\b(authorization['\"]?[\s:=,]{1,9}b?['\"]?(?:[a-z]{1,20}\s)?)[^\s'\"]+"),
        rf"\1{LEFT_OUT}",
    ),
    (
        re.compile(
            r"(?i)(token|password|passwd|secret|api_?key)(['\"]?\s{0,9}[=:]\s{0,9}b?)"
            r"(?:\"(?:\\.|[^\"\\])*\"?|'(?:\\.|[^'\\])*'?|[^\s,;)}\]&'\"]+)"
        ),
        rf"\1\2{LEFT_OUT}",
    ),
    # The credentials of a URL, such as Redis's.
    (re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,1024}@"), f"{LEFT_OUT}@"),
)

_UNPRINTABLE: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""What ends a line somewhere, steers a terminal, or turns what follows around on it (the controls of
https://www.unicode.org/reports/tr9/)."""


def configure(level: str, format_: str, stream: TextIO = sys.stderr) -> None:
    """Have all that is logged from here on written to `stream`: from this level on, in one of `FORMATS`."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter(format_, is_terminal=stream.isatty()))
    handler.addFilter(Spared())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    for library in TALKATIVE:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))


def formatter(format_: str, *, is_terminal: bool) -> logging.Formatter:
    """What makes a line of a record."""
    assert format_ in FORMATS
    as_text = format_ == "text" or (format_ == "auto" and is_terminal)
    render: Processor = _as_text if as_text else JSONRenderer()
    return ProcessorFormatter(
        foreign_pre_chain=[_add_what_was_given, format_exc_info],
        processors=[_in_order, without_secrets, render],
    )


def without_secrets(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """What looks like a token, a key or a password is left out of every text."""
    return {key: redacted(value) if isinstance(value, str) else value for key, value in event.items()}


def redacted(text: str) -> str:
    """`text` without what looks like a secret. Takes time in proportion to its length, whatever it is."""
    for secret, instead in _SECRETS:
        text = secret.sub(instead, text)
    return text


def printable(text: str) -> str:
    """`text` on one line, and of signs only."""
    return _UNPRINTABLE.sub(lambda found: _escaped(found[0]), text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")


def _add_what_was_given(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    if (name_of_request := request_id.get()) is not None:
        event["request_id"] = name_of_request
    given = vars(event["_record"])
    event.update({key: given[key] for key in GIVEN if key in given})
    return event


def _in_order(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """The same names first on each line."""
    record: logging.LogRecord = event.pop("_record")
    del event["_from_structlog"]
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    ordered: dict[str, Any] = {
        "time": at.replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": event.pop("event"),
    }
    return {**ordered, **event}


def _as_text(logger: WrappedLogger, name: str, event: EventDict) -> str:
    """Time, level, logger and words. A traceback follows, each of its lines indented: only what this server
    says begins at the margin."""
    begin = f"{event.pop('time')} {event.pop('level').upper()} {event.pop('logger')}: "
    words, traceback = event.pop("message"), event.pop("exception", None)
    beside = "".join(f" {key}={value}" for key, value in event.items())
    line = begin + printable(f"{words}{beside}")
    if traceback is None:
        return line
    return "\n".join([line, *(f"    {printable(each)}" for each in traceback.splitlines())])
