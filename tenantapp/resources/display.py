"""What a builder says about the page of a resource."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

ICONS: Final = (
    *("book", "box", "calendar", "cart", "chart", "file", "folder", "gear", "globe", "heart", "list"),
    *("mail", "money", "person", "star", "tag", "truck"),
)
HINTS: Final = ("markdown", "multiline")


@dataclass(frozen=True)
class Translation:
    """The words of a resource in one more language. What is left out is shown as it is declared.

    - ``label`` is the heading and ``noun`` a row in sentences. ``labels`` are those of members, filters and sorts.
    - ``choices`` are the values and words of a member or filter, by its name: ``{"status": {"draft": "Entwurf"}}``.
    - ``help`` explains fields, in place of the description that the body has.
    """

    label: str | None = None
    noun: str | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    help: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Display:
    """How the page shows a resource. What is left out is found out from the declaration.

    - ``label`` is the heading, ``icon`` one of ``ICONS``. Resources are in the menu by ``order``, then by label.
    - ``columns`` are the members that the table shows at first, and ``title`` is the one that names a row.
    - ``labels`` are those of members and filters whose name would be no good label.
    - ``hints`` say how a field is written: one of ``HINTS``.
    - ``undo`` is False if a delete takes along what a new row of the same content does not bring back. The page asks
      before such a delete.
    - ``suggests`` are fields whose values are titles of another resource's rows, such as the names of tags.
    - ``tree`` is False if rows that refer to each other are not to be shown as a tree, or the member that refers to the
      row above, if there are several.
    - ``within`` is the member that refers to the row of another resource in which the rows are shown, such as the node
      of comments. They are not in the menu then. A filter has to compare the member.
    - ``component`` is an asset spec of a JavaScript module, ``bookshop:page/shelf.js``, whose element is shown in the
      place of the list.
    - ``translations`` are by the code of their language, such as ``de``. The page takes the one in its language.
    """

    label: str | None = None
    icon: str = "list"
    order: int = 100
    columns: Sequence[str] = ()
    title: str | None = None
    undo: bool = True
    labels: Mapping[str, str] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)
    suggests: Mapping[str, str] = field(default_factory=dict)
    tree: str | bool = True
    within: str | None = None
    component: str | None = None
    translations: Mapping[str, Translation] = field(default_factory=dict)
