"""Turn the cells of a CSV file into the members of a JSON body, by the types of the fields, and back.

A cell is data, also if it begins like a formula. An empty cell leaves the field out. A field that takes text gets the
cell as it is; so dates, ids and decimals are written as in JSON. Numbers and truth values are written as in JSON too,
and spreadsheets may write TRUE. A list is a JSON array, or texts between semicolons.

A spreadsheet would calculate a text that begins like a formula (https://owasp.org/www-community/attacks/CSV_Injection).
So an exported text of this kind begins with an apostrophe, and so does one that begins with apostrophes before that. An
import takes the first one away.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import orjson
from pydantic import BaseModel

Read = Callable[[str], Any]
JsonSchema = Mapping[str, Any]
_FORMULA: Final = re.compile(r"\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|[\t\r\n]")  # also the full-width forms
_NEGATIVE: Final = re.compile(r"-[0-9]+(\.[0-9]+)?")


def cell_of(value: Any) -> str:
    """Return the cell of a value of JSON. ``read_cell`` gets the same value from it, but for an empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return harmless(value)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        joined = "; ".join(value)
        if value and not _is_json(joined) and _split(joined) == value:
            return harmless(joined)
    return orjson.dumps(value).decode()


def harmless(text: str) -> str:
    """Return a text with an apostrophe before it if a spreadsheet might take it for a formula."""
    return f"'{text}" if _is_like_a_formula(text) else text


def read_cell(cell: str, read: Read) -> Any:
    """Return the value of a cell that is not empty. Raises ``ValueError``."""
    return read(cell[1:] if cell.startswith("'") and _is_like_a_formula(cell) else cell)


def _is_like_a_formula(text: str) -> bool:
    bare = text.lstrip("'")
    return _FORMULA.match(bare) is not None and not _NEGATIVE.fullmatch(bare)


def readers(model: type[BaseModel]) -> dict[str, Read]:
    """Return how a cell of each field is read, by the name of the field in JSON. The functions raise ``ValueError``."""
    schema = model.model_json_schema()
    definitions = schema.get("$defs", {})
    return {name: _reader(set(_types(field, definitions))) for name, field in schema.get("properties", {}).items()}


def _types(schema: JsonSchema, definitions: JsonSchema) -> Iterator[str]:
    """Yield the JSON types of the values that a schema takes."""
    if "$ref" in schema:
        yield from _types(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())):
        yield from _types(each, definitions)
    if isinstance(schema.get("type"), str):
        yield schema["type"]
    for value in schema.get("enum", [schema["const"]] if "const" in schema else []):
        yield "string" if isinstance(value, str) else "number"
    if "array" in (schema.get("type"),) and "string" in _types(schema.get("items", {}), definitions):
        yield "texts"


def _reader(types: set[str]) -> Read:
    if "texts" in types:
        return _texts
    if "string" in types or not types & {"integer", "number", "boolean", "array", "object"}:
        return str
    return _boolean if types <= {"boolean", "null"} else _json


def _json(cell: str) -> Any:
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        raise ValueError("Write a number with a point and without a unit, or the value as in JSON.") from None


def _boolean(cell: str) -> bool:
    if cell.strip().lower() not in ("true", "false"):
        raise ValueError("Write true or false.")
    return cell.strip().lower() == "true"


def _texts(cell: str) -> Any:
    return _json(cell) if _is_json(cell) else _split(cell)


def _is_json(cell: str) -> bool:
    return cell.lstrip().startswith("[")


def _split(cell: str) -> list[str]:
    return [text for each in cell.split(";") if (text := each.strip())]
