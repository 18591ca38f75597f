"""Write HTML: every text is escaped, unless it is HTML already."""

import re
from collections.abc import Sequence
from html import escape
from typing import Final

CODE: Final = re.compile(r"`([^`]+)`")


class Html(str):
    """Text that is HTML. Only ``element`` and ``together`` make it."""

    __slots__ = ()


def element(name: str, *children: str, **attributes: str) -> Html:
    """Return an element. A trailing underscore in the name of an attribute is left out: ``class_="method"``."""
    given = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{given}>{together(*children)}</{name}>")


def together(*children: str) -> Html:
    """Return the children one after the other. Plain text is escaped."""
    return Html("".join(child if isinstance(child, Html) else escape(child, quote=False) for child in children))


def prose(text: str) -> Html:
    """Return a sentence in which `code` is marked by backticks, as in Markdown."""
    parts = CODE.split(text)
    return together(*(element("code", part) if place % 2 else part for place, part in enumerate(parts)))


def table(caption: str, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Html:
    """Return a table. The first cell of each row is its heading."""
    head = element("tr", *(element("th", heading, scope="col") for heading in headings))
    body = [
        element("tr", element("th", name, scope="row"), *(element("td", cell) for cell in cells))
        for name, *cells in rows
    ]
    whole = element("table", element("caption", caption), element("thead", head), element("tbody", *body))
    return element("div", whole, class_="scroll")
