"""Turn the cells of a CSV file into the members of a JSON body, by the types of the fields.

A cell is data, also if it begins like a formula. An empty cell leaves the field out. A field that takes text gets the
cell as it is; so dates, ids and decimals are written as in JSON. Numbers and truth values are written as in JSON too,
and spreadsheets may write TRUE. A list is a JSON array, or texts between semicolons, as the page exports it.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import orjson
from pydantic import BaseModel

Read = Callable[[str], Any]
JsonSchema = Mapping[str, Any]


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
    if cell.lstrip().startswith("["):
        return _json(cell)
    return [text for each in cell.split(";") if (text := each.strip())]
