"""The media type of a file: what the client says, or what its name suggests."""

import re
from collections.abc import Collection
from mimetypes import MimeTypes
from typing import Final

from tenantapp.setting_types import MEDIA_NAME

UNKNOWN: Final = "application/octet-stream"
TYPE: Final = re.compile(rf"{MEDIA_NAME}/{MEDIA_NAME}")
# Python's own table. That of the machine would make the answers of two machines differ.
_TABLE: Final = MimeTypes()


def media_type_of(stated: str, name: str) -> str:
    """Return the media type of a file, in lower case and without parameters.

    ``stated`` is the request's ``Content-Type``. If it is missing or says nothing, the end of the name decides. Raises
    ``ValueError`` if it is no media type.
    """
    given = stated.partition(";")[0].strip().lower()
    if given in ("", UNKNOWN):
        return _TABLE.guess_type(f"x{name[-20:]}", strict=True)[0] or UNKNOWN
    if not TYPE.fullmatch(given):
        raise ValueError("this is no media type")
    return given


def is_permitted(media_type: str, permitted: Collection[str]) -> bool:
    """Return whether a media type is one of these, or in one of these ranges."""
    return not {"*/*", f"{media_type.partition('/')[0]}/*", media_type}.isdisjoint(permitted)
