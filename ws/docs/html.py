"""HTML out of nested calls; whatever is not HTML already is escaped. Pure.

element("p", "a < b", class_="note")    <p class="note">a &lt; b</p>
"""

from __future__ import annotations

import re
from html import escape
from typing import Final

_EMPTY: Final = frozenset({"link", "meta", "wbr"})
"""Elements without an end (HTML, section 13.1.2), of those that are used here."""

_CODE: Final = re.compile(r"`([^`]+)`")


class Html(str):
    """A text that is HTML, and is not escaped again."""

    __slots__ = ()


def element(name: str, /, *children: str, **attributes: str) -> Html:
    """An element. A child is escaped unless it is `Html`; an attribute's name may end in `_` where Python has
    a word for itself, and has `-` for `_` otherwise."""
    shown = "".join(
        f' {key.removesuffix("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items()
    )
    if name in _EMPTY:
        return Html(f"<{name}{shown}>")
    return Html(f"<{name}{shown}>{join(*children)}</{name}>")


def join(*children: str) -> Html:
    """Several, one after the other."""
    return Html(
        "".join(child if isinstance(child, Html) else escape(child, quote=False) for child in children)
    )


def code(text: str) -> Html:
    """A word of the wire."""
    return element("code", text)


def prose(text: str) -> Html:
    """A sentence in which `words between backticks` are code."""
    parts = _CODE.split(text)
    return join(*(code(part) if at % 2 else part for at, part in enumerate(parts)))
