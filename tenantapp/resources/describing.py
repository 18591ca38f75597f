"""Describe a resource in the document of the API, so that its page can be drawn from the document alone."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import Text

from tenantapp.api import PREFIX
from tenantapp.resources.answers import member_type, plain
from tenantapp.resources.components import ComponentMissing, find_component
from tenantapp.resources.declaration import Resource
from tenantapp.resources.display import HINTS, ICONS, Translation
from tenantapp.resources.filters import Match
from tenantapp.tenancy.models import TenantFile

EXTENSION: Final = "x-resource"  # in the tag of the resource
TREE_OPERATORS: Final = {"", "in_", "has_"}  # `has_` is there if a row may be without a row above
MOST_COLUMNS: Final = 6  # of a table for which nothing is declared
LANGUAGE: Final = re.compile(r"[a-z]{2,3}")  # RFC 5646, without script and region


def describe_resource(
    resource: Resource[Any], resources: Mapping[str, Resource[Any]], component: str | None
) -> dict[str, Any]:
    """Return the description of a resource, which is one of ``resources``. ``component`` is an address."""
    display = resource.display
    return {
        "path": f"{PREFIX}/{resource.name}",
        "noun": resource.noun,
        "label": display.label or resource.name.replace("_", " ").capitalize(),
        "icon": display.icon,
        "order": display.order,
        "columns": list(display.columns) or _columns(resource),
        "title": _title(resource),
        "labels": dict(display.labels),
        "hints": _hints(resource),
        "suggests": dict(display.suggests),
        "translations": {code: _said(each) for code, each in display.translations.items()},
        "references": dict(_references(resource, resources)),
        "files": _files(resource),
        "filters": {name: list(each.operators()) for name, each in resource.filters.items()},
        "sorts": list(resource.sorts),
        "search": resource.search,
        "undo": display.undo and resource.key.is_uuid and {"create", "change"} <= resource.can,  # it comes back by PUT
        "component": component,
        "tree": _tree(resource),
        "within": _within(resource, resources),
        "owner": _owner(resource),
        "version": resource.version_attribute,
        "history": resource.tracked,
        "permissions": {
            "read": resource.read_permission,
            "create": resource.create_permission,
            "write": resource.write_permission,
            "over": resource.owner.over if resource.owner is not None else None,
        },
    }


def slips_in_display(resource: Resource[Any]) -> Iterator[str]:
    """Yield what is wrong in what a resource says about its page."""
    display = resource.display
    if display.icon not in ICONS:
        yield f"its icon has to be one of {', '.join(ICONS)}"
    for name in (*display.columns, *([display.title] if display.title is not None else ())):
        if name not in resource.members:
            yield f"it has no member {name} that the page could show"
    yield from _slips_in_labels(resource, display.labels)
    for name in (*display.hints, *display.suggests):
        if name not in resource.fields:
            yield f"its body has no field {name} that the page could help with"
    if wrong := [hint for hint in display.hints.values() if hint not in HINTS]:
        yield f"{wrong[0]} is no hint: there are {', '.join(HINTS)}"
    if display.within is not None and display.within not in _parents(resource):
        yield f"it has no member {display.within} that refers to the rows of another table and is a filter too"
    if isinstance(display.tree, str) and display.tree not in _trees(resource):
        yield f"it has no member {display.tree} that may be empty, refers to its own rows and is a filter too"
    if display.component is not None:
        try:
            find_component(display.component)
        except ComponentMissing as error:
            yield str(error)
    for code, translation in display.translations.items():
        if LANGUAGE.fullmatch(code) is None:
            yield f"the language {code!r} of a translation has to be a code such as de"
        yield from _slips_in_translation(resource, translation)


def _slips_in_labels(resource: Resource[Any], labels: Mapping[str, str]) -> Iterator[str]:
    for name in labels:
        if name not in (*resource.members, *resource.filters, *resource.sorts):
            yield f"it has no member, filter or sort {name} that could have a label"


def _slips_in_translation(resource: Resource[Any], translation: Translation) -> Iterator[str]:
    yield from _slips_in_labels(resource, translation.labels)
    for name in translation.help:
        if name not in resource.fields:
            yield f"its body has no field {name} that the page could help with"
    for name, texts in translation.choices.items():
        choices = _choices(resource, name)
        for value in texts:
            if value not in choices:
                yield f"{value!r} is no choice of {name} that could be translated"


def _choices(resource: Resource[Any], name: str) -> set[str]:
    """Return the values and words that a member or a filter may have, where its type names them."""
    types = [member_type(resource, name)] if name in resource.members else []
    if name in resource.filters:
        types += [operator.value for operator in resource.filters[name].operators().values()]
    return {str(value) for type_ in types for value in _constants(TypeAdapter(type_).json_schema())}


def _constants(schema: Any) -> Iterator[Any]:
    """Yield the values that a JSON schema names."""
    if isinstance(schema, Mapping):
        yield from (schema["const"],) if "const" in schema else schema.get("enum", ())
        for each in schema.values():
            yield from _constants(each)
    elif isinstance(schema, Sequence) and not isinstance(schema, str):
        for each in schema:
            yield from _constants(each)


def _said(translation: Translation) -> dict[str, Any]:
    """Return what a translation says."""
    return {name: value for name, value in asdict(translation).items() if value}


def _title(resource: Resource[Any]) -> str:
    """Return the member that names a row: the first text of the body, unless another is declared."""
    texts = (alias for alias, name in resource.fields.items() if _is_text(resource, name))
    return resource.display.title or next(texts, "id")


def _is_text(resource: Resource[Any], name: str) -> bool:
    return plain(resource.body.model_fields[name].annotation) is str


def _columns(resource: Resource[Any]) -> list[str]:
    """Return the title and the next members, without ids, versions and long texts."""
    title, long = _title(resource), _hints(resource)
    left_out = {title, "id", resource.version_attribute, resource.owner.column.key if resource.owner else None, *long}
    return [title, *(member for member in resource.members if member not in left_out)][:MOST_COLUMNS]


def _hints(resource: Resource[Any]) -> dict[str, str]:
    """Return the hints, to which those of columns for long texts are added."""
    texts = {
        alias: "multiline"
        for alias, name in resource.fields.items()
        if name not in resource.values and isinstance(resource.column(alias).type, Text)
    }
    return texts | dict(resource.display.hints)


def _owner(resource: Resource[Any]) -> str | None:
    """Return the member that says whose a row is: a person's id, or an object that has it as ``id``."""
    if resource.owner is None:
        return None
    key = resource.owner.column.key
    return key if key in resource.members else next((name for name in ("owner",) if name in resource.members), None)


def _tree(resource: Resource[Any]) -> dict[str, str] | None:
    """Return the member that refers to the row above, and its filter, or None if the rows are no tree."""
    trees = _trees(resource)
    chosen = resource.display.tree
    name = next(iter(trees), None) if chosen is True else chosen
    return {"member": name, "filter": trees[name]} if isinstance(name, str) else None


def _trees(resource: Resource[Any]) -> dict[str, str]:
    """Return the members that a tree can be drawn by, with their filters: nullable references to its own rows."""
    key = resource.mapper.primary_key[0]
    return {
        member: filter_
        for member, (column, filter_, operators) in _compared(resource).items()
        if operators >= TREE_OPERATORS and any(each.column is key for each in column.foreign_keys)
    }


def _within(resource: Resource[Any], resources: Mapping[str, Resource[Any]]) -> dict[str, str] | None:
    """Return the member that refers to the row in which the rows are shown, its filter, and the resource of that row.

    None if the rows are shown by themselves, or the other table is no resource.
    """
    member = resource.display.within
    other = dict(_references(resource, resources)).get(member or "")
    if member is None or other is None:
        return None
    return {"member": member, "filter": _parents(resource)[member], "resource": other}


def _parents(resource: Resource[Any]) -> dict[str, str]:
    """Return the members that refer to rows of other tables, with their filters."""
    own = resource.mapper.local_table
    return {
        member: filter_
        for member, (column, filter_, _) in _compared(resource).items()
        if any(each.column.table is not own for each in column.foreign_keys)
    }


def _compared(resource: Resource[Any]) -> dict[str, tuple[Any, str, set[str]]]:
    """Return the members that a filter compares, each with its column, the filter and the operators of the filter."""
    filters = {
        each.column.key: (name, set(each.operators()))
        for name, each in resource.filters.items()
        if isinstance(each, Match)
    }
    keys = {member: resource.fields.get(member, member) for member in resource.members}
    columns = resource.mapper.columns
    return {member: (columns[key], *filters[key]) for member, key in keys.items() if key in filters and key in columns}


def _references(resource: Resource[Any], resources: Mapping[str, Resource[Any]]) -> Iterator[tuple[str, str]]:
    """Yield the members and filters that are ids of rows of a resource, each with that resource."""
    by_table = {each.mapper.local_table: each.name for each in resources.values()}
    for name, table in _referred(resource):
        if table in by_table:
            yield name, by_table[table]


def _files(resource: Resource[Any]) -> list[str]:
    """Return the members and filters that are ids of files of the tenant."""
    return [name for name, table in _referred(resource) if table is TenantFile.__table__]


def _referred(resource: Resource[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the members and filters that are ids of rows of a table, each with that table."""
    columns = {
        member: resource.mapper.columns.get(resource.fields.get(member, member))
        for member in resource.members
        if member != "id"
    }
    columns |= {name: each.column for name, each in resource.filters.items() if isinstance(each, Match)}
    for name, column in columns.items():
        for key in getattr(column, "foreign_keys", None) or ():
            if key.column.primary_key:
                yield name, key.column.table
