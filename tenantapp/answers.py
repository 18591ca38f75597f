"""The base of models of answers, and the page of a list.

A model describes an answer in the OpenAPI document, and the tests compare each answer with it. A request does not
validate its answer: the database writes much of it as JSON. Nothing here knows about HTTP.
"""

from typing import Generic, TypeVar

from pydantic import BaseModel, ConfigDict

Item = TypeVar("Item")


class Answer(BaseModel):
    """Base of the models of answers. A field may be null, but is always there. Later versions may add fields."""

    model_config = ConfigDict(frozen=True)


class Page(Answer, Generic[Item]):
    """A page of a list. ``next`` is the cursor of the next page; it is null on the last page."""

    items: list[Item]
    next: str | None
