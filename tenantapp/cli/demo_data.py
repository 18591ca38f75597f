"""The content of the demo."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypedDict

PASSWORD: Final = "purple teapot parade"  # noqa: S105 - documented; the setting demo.enabled must allow it


@dataclass(frozen=True, slots=True)
class DemoPerson:
    """A person to sign in as. ``description`` says what they can do."""

    login: str
    name: str
    description: str
    operator: bool = False


@dataclass(frozen=True, slots=True)
class DemoNode:
    """A node. ``parent`` is the title of its parent, which comes earlier. ``comments`` are logins and texts."""

    owner: str
    title: str
    body: str
    parent: str | None = None
    tags: tuple[str, ...] = ()
    status: Literal["draft", "published", "archived"] = "published"
    comments: tuple[tuple[str, str], ...] = ()


class Grantee(TypedDict, total=False):
    """A person by login, or a group by name."""

    login: str
    group: str


TENANTS: Final[Mapping[str, str]] = {"acme": "Acme", "globex": "Globex"}

PEOPLE: Final[Sequence[DemoPerson]] = (
    DemoPerson("ada", "Ada Lovelace", "admin of acme, reader in globex"),
    DemoPerson("bob", "Bob Bemer", "author in acme"),
    DemoPerson("carol", "Carol Shaw", "editor in both, through the group editors"),
    DemoPerson("olga", "Olga Ladyzhenskaya", "operator, in no tenant", operator=True),
)

GROUPS: Final[Mapping[str, Sequence[str]]] = {"editors": ("carol",)}

GRANTS: Final[Sequence[tuple[str, str, Grantee]]] = (
    ("acme", "admin", {"login": "ada"}),
    ("acme", "author", {"login": "bob"}),
    ("acme", "editor", {"group": "editors"}),
    ("globex", "reader", {"login": "ada"}),
    ("globex", "editor", {"group": "editors"}),
)

NODES: Final[Mapping[str, Sequence[DemoNode]]] = {
    "acme": (
        DemoNode("ada", "Rocket skates", "Our bestseller, and how it is made.", tags=("product",)),
        DemoNode("bob", "Assembly", "Left boot first.", "Rocket skates", ("howto", "workshop")),
        DemoNode(
            *("bob", "Fuel", "Ask before lighting anything.", "Assembly", ("safety",), "draft"),
            comments=(("carol", "Ask whom?"), ("bob", "Ada. She has the matches.")),
        ),
        DemoNode("carol", "Recall of 1952", "All skates came back by themselves.", "Rocket skates", ("safety",)),
        DemoNode("ada", "Suppliers", "Who sells us springs.", tags=("purchasing",)),
        DemoNode("carol", "Spring contracts", "Superseded by those of this year.", "Suppliers", (), "archived"),
    ),
    "globex": (
        DemoNode("carol", "Weather machine", "Notes on the project.", tags=("research",)),
        DemoNode("carol", "Test plan", "Begin with drizzle.", "Weather machine", ("research", "schedule")),
        DemoNode("carol", "Hammock district", "Where the staff has lunch.", tags=("office",)),
    ),
}


def writers(slug: str) -> set[str]:
    """Return the logins of the people who wrote nodes or comments of a tenant."""
    commented = {login for node in NODES[slug] for login, _ in node.comments}
    return {node.owner for node in NODES[slug]} | commented
