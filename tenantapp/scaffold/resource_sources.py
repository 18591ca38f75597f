"""The source of the resources of tables that were found, and why others are none.

A resource is tried out before it is written: what the start of the application would refuse is not declared.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa

from tenantapp.databases.schemas.layout import laid_out_statement
from tenantapp.resources import Resource, content_of
from tenantapp.resources.checking import check_declaration
from tenantapp.resources.declaration import DeclarationError
from tenantapp.scaffold.identifiers import resource_names
from tenantapp.scaffold.model_sources import ModelSources

NO_KEY: Final = "a resource needs a key of one column, a UUID or a number that the database counts"
DOCSTRING: Final = '''"""What clients see of the tables, and the page: see ``tenantapp.resources``.

Next: owners, filters and orders of lists, rules, and the page. Each filter and each order needs an index.
"""
'''
WRITE: Final = """\
# A permission of our own, which ``includeme`` declares.
WRITE: Final = "{package}.write"
"""
NOT_IN_JSON: Final = (sa.LargeBinary, sa.Interval)


@dataclass(frozen=True)
class ResourceSources:
    """The source of the module of resources, and a sentence for each reason why tables are not among them."""

    module: str
    notes: tuple[str, ...]


def resource_sources(package: str, sources: ModelSources, models: Any, taken: set[str]) -> ResourceSources:
    """Return the source of the resources. ``models`` is the imported module, ``taken`` are words that routes have."""
    names = resource_names((table.name for table in sources.found.tables), package, taken)
    written, refused = [], dict[str, list[str]]()
    for table in sources.found.tables:
        reason = NO_KEY if sources.key_of(table) is None else ""
        if not reason:
            fields = list(_fields(sources, table, models))
            reason = _refusal(names[table.name], getattr(models, sources.classes[table.name]), fields)
        if reason:
            refused.setdefault(reason, []).append(table.name)
        else:
            written.append(_resource(names[table.name], sources.classes[table.name], fields))
    notes = tuple(f"Not shown, because {reason}: {', '.join(tables)}" for reason, tables in refused.items())
    return ResourceSources(resource_module(package, written), notes)


def _fields(sources: ModelSources, table: sa.Table, models: Any) -> Iterator[str]:
    """Yield the attributes that clients can write."""
    model = getattr(models, sources.classes[table.name])
    for column in table.columns:
        name = sources.attributes[table.name][column.name]
        if column.primary_key or column.computed is not None or isinstance(column.type, NOT_IN_JSON):
            continue
        if column.identity is not None or sources.types[column].python == "Any":
            continue
        try:
            content_of(model, name)
        except DeclarationError:
            continue
        yield name


def _refusal(name: str, model: type, fields: list[str]) -> str:
    """Return why a model cannot be a resource, or nothing."""
    try:
        body = content_of(model, *fields)
        check_declaration(Resource(name, model, body=body, noun=_noun(name), read="read", write="write"))
    except DeclarationError as error:
        said = str(error).partition("declared wrongly: ")[2] or str(error)
        return said[0].lower() + said[1:]
    return ""


def _noun(name: str) -> str | None:
    """Return a word for one row, if it is not the name without its last letter."""
    return None if name.endswith("s") and len(name) > 1 else f"{name.replace('_', ' ')} row"


def _resource(name: str, model: str, fields: list[str]) -> str:
    content = ", ".join([f"models.{model}", *map(repr, fields)])
    noun = _noun(name)
    said = [f"noun={noun!r}"] if noun else []
    body, rights = f"body=content_of({content})", ["read=Permission.CONTENT_READ", "write=WRITE"]
    return f"Resource({', '.join([repr(name), f'models.{model}', body, *rights, *said])})"


def resource_module(package: str, written: Sequence[str] = ()) -> str:
    """Return the source of a module with these resources."""
    imported = ["from tenantapp.resources import Resource"]
    ours: list[str] = []
    if written:
        imported = ["from tenantapp.identity.permissions import Permission", f"{imported[0]}, content_of"]
        ours = [f"\nfrom {package} import models"]
    listed = f"RESOURCES: Final[tuple[Resource[Any], ...]] = ({''.join(f'{each}, ' for each in written)})"
    head = "\n".join([DOCSTRING, "from typing import Any, Final\n", *imported, *ours])
    return f"{head}\n\n{WRITE.format(package=package)}{laid_out_statement(listed)}"
