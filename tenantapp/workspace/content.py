"""The fields of nodes, tags, comments and attachments that a client writes."""

import unicodedata
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from tenantapp.characters import check_visible, clean_line
from tenantapp.content import Content, Id, Text, example, one_line
from tenantapp.workspace.models import TAG_LENGTH, TITLE_LENGTH, Status

BODY_LENGTH: Final = 100_000
TAGS_PER_NODE: Final = 50
COMMENT_LENGTH: Final = 10_000
SOME_ID: Final = "0198c2f4-8a10-7c3e-9d5b-6f1e2a3b4c5d"  # in examples


def clean_tag(value: str) -> str:
    """Return a tag's name as a case-folded line, so that ``Red`` and ``red`` are one tag. Raises ``ValueError``."""
    return clean_line(unicodedata.normalize("NFC", value).casefold())


def distinct(tags: list[str]) -> list[str]:
    """Return the tags sorted and without duplicates. A node's tags are shown in this order."""
    return sorted(set(tags))


Title = Annotated[str, Field(max_length=TITLE_LENGTH), one_line(TITLE_LENGTH)]
TagName = Annotated[str, Field(max_length=TAG_LENGTH), one_line(TAG_LENGTH, clean_tag)]


class NodeContent(
    Content,
    json_schema_extra=example({"title": "Anvils", "body": "They are heavy.", "status": "draft", "tags": ["product"]}),
):
    """The fields of a node that its writers set. A field that is left out has its default."""

    title: Title
    body: Text = Field("", max_length=BODY_LENGTH)
    status: Status = "draft"
    parent_id: Id | None = None
    tags: Annotated[list[TagName], Field(max_length=TAGS_PER_NODE), AfterValidator(distinct)] = []


class TagContent(Content, json_schema_extra=example({"name": "heavy"})):
    """The fields of a tag that its writers set."""

    name: TagName


class CommentContent(Content, json_schema_extra=example({"node_id": SOME_ID, "text": "Lighter ones sell better."})):
    """The fields of a comment that its writer sets."""

    node_id: Id
    text: Annotated[Text, Field(max_length=COMMENT_LENGTH), AfterValidator(check_visible)]


class AttachmentContent(Content, json_schema_extra=example({"node_id": SOME_ID, "file_id": SOME_ID})):
    """The node of an attachment, and its file, which was uploaded before."""

    node_id: Id
    file_id: Id
