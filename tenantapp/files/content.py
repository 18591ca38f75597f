"""The name of a file, which is a label and never a path."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from tenantapp.content import one_line

NAME_LENGTH: Final = 200
SEPARATORS: Final = "/\\"


def _refuse_paths(name: str) -> str:
    if any(separator in name for separator in SEPARATORS) or not name.strip("."):
        raise ValueError("This is a path, and no name of a file.")
    return name


# In NFC; without controls, line ends and the characters that show others in another order (``tenantapp.characters``).
FileName = Annotated[str, Field(max_length=NAME_LENGTH), one_line(NAME_LENGTH), AfterValidator(_refuse_paths)]
