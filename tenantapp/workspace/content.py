"""What a client writes of a node and of a tag."""

import unicodedata
from typing import Annotated, Any, Final
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, Field

from tenantapp.api.json import Body
from tenantapp.workspace.models import TAG_LENGTH, TITLE_LENGTH, Status

BODY_LENGTH: Final = 100_000
TAGS_PER_NODE: Final = 50


def parse_id(value: Any) -> Any:
    """An id in its canonical form; pydantic alone would take braces and bytes as well."""
    if isinstance(value, str):
        try:
            parsed = UUID(value)
        except ValueError:
            parsed = None
        if parsed is None or str(parsed) != value:
            raise ValueError("This is not an id.")
        return parsed
    return value


def clean_line(value: str) -> str:
    """One line of printable text, in NFC, without the space around it."""
    clean = unicodedata.normalize("NFC", value).strip()
    if not clean or not clean.isprintable():
        raise ValueError("This has to be one line of printable characters.")
    return clean


def clean_tag(value: str) -> str:
    """A tag: a line, case folded, so that it is one tag however it is typed."""
    return clean_line(unicodedata.normalize("NFC", value).casefold())


def distinct(tags: list[str]) -> list[str]:
    """Sorted, each once: the order a node's tags are shown in."""
    return sorted(set(tags))


Id = Annotated[UUID, BeforeValidator(parse_id)]
# Measured before and after, for normalizing may lengthen a text.
Title = Annotated[str, Field(max_length=TITLE_LENGTH), AfterValidator(clean_line), Field(max_length=TITLE_LENGTH)]
TagName = Annotated[str, Field(max_length=TAG_LENGTH), AfterValidator(clean_tag), Field(max_length=TAG_LENGTH)]


class NodeContent(Body):
    """The part of a node that its writers decide. What is left out has its default."""

    title: Title
    body: str = Field("", max_length=BODY_LENGTH)
    status: Status = "draft"
    parent_id: Id | None = None
    tags: Annotated[list[TagName], Field(max_length=TAGS_PER_NODE), AfterValidator(distinct)] = []


class TagContent(Body):
    """The part of a tag that its writers decide."""

    name: TagName
