"""The views of declared resources. They are ordinary API views that call the functions of the resource."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

from orjson import Fragment
from pyramid.config import Configurator
from pyramid.response import Response

from tenantapp.api import PREFIX
from tenantapp.api.conditions import conditions_of, precondition, send_version
from tenantapp.api.json import apply_patch, check_patch
from tenantapp.api.problems import ApiError
from tenantapp.api.views import MergePatch, add_api_view
from tenantapp.identity.errors import PermissionMissing
from tenantapp.resources import counting, queries, writing
from tenantapp.resources.answers import Changed, Deleted, answer_models
from tenantapp.resources.checking import check_declaration
from tenantapp.resources.components import find_component
from tenantapp.resources.cursors import encode_cursor
from tenantapp.resources.declaration import DeclarationError, Resource
from tenantapp.resources.describing import EXTENSION, describe_resource
from tenantapp.resources.errors import IdTaken, NotFound, VersionMismatch
from tenantapp.resources.exporting import ANSWER, export_view
from tenantapp.resources.filters import Pattern
from tenantapp.resources.history_views import HistoryQuery, RowChanges, history_view
from tenantapp.resources.import_views import CsvBody, Imported, ImportQuery, import_view
from tenantapp.resources.links import add_link
from tenantapp.resources.list_queries import export_query, filter_query, filters_of, find_asked, list_query, read_list
from tenantapp.resources.paths import key_part, path_key
from tenantapp.sql.errors import TransactionConflict
from tenantapp.tenancy.request import TenantRequest

View = Callable[[TenantRequest], Any]
Add = Callable[..., None]


def add_resource(config: Configurator, resource: Resource[Any]) -> None:
    """Add the routes and views of a resource: ``config.add_resource(products)``. This is a configuration directive.

    A view that the same or an outer ``includeme`` adds for one of these routes and methods replaces ours.
    """

    def included(inner: Configurator) -> None:
        _add_views(inner, resource)

    check_declaration(resource)
    if resource.name in config.registry.resources:
        raise DeclarationError(f"There are two resources called {resource.name}")
    # Pyramid includes a function once by its name.
    included.__name__ = f"resource_{resource.name}"
    config.registry.resources[resource.name] = resource
    if resource.owner is not None:
        config.registry.declared_rights.used.add(resource.owner.over)  # no view has it
    config.registry.tags[resource.name] = resource.describe()
    component = _serve_component(config, resource)
    config.registry.tag_extensions[resource.name] = lambda: {
        EXTENSION: describe_resource(resource, config.registry.resources, component)
    }
    # Under /api/v1, whether or not the domain has said so.
    config.include(included, route_prefix=None if (config.route_prefix or "").strip("/") == PREFIX[1:] else PREFIX)


def _serve_component(config: Configurator, resource: Resource[Any]) -> str | None:
    """Have the module of a resource's component served, and return its address, or None if there is none."""
    if resource.display.component is None:
        return None
    component = find_component(resource.display.component)
    return f"{config._add_page_files(component.place, component.directory)}/{component.name}"


def item_route(resource: Resource[Any]) -> str:
    """Return the name of the route of one row."""
    return resource.noun.replace(" ", "_")


def _add_views(config: Configurator, resource: Resource[Any]) -> None:
    many, one = resource.name, item_route(resource)
    config.add_route(many, f"/{many}")
    config.add_route(one, f"/{many}/{key_part(resource)}")
    answers = answer_models(resource)
    reads: dict[str, Any] = {"permission": resource.read_permission}
    writes: dict[str, Any] = {"permission": resource.write_permission}
    row: dict[str, Any] = {"answer": answers.row, "headers": ("ETag",) if resource.version is not None else ()}
    stored = _problems_of_storing(resource)

    def add(route: str, method: str, view: View, *problems: str, **options: Any) -> None:
        add_api_view(config, view, route, method, tag=resource.name, problems=tuple(dict.fromkeys(problems)), **options)

    listed = {"query": list_query(resource), "answer": answers.page | answers.part, "headers": ("Link",)}
    add(many, "GET", list_view(resource), **reads, **listed)
    add(one, "GET", read_view(resource), **reads, **row)
    config.add_route(f"{many}_export", f"/{many}/export")
    add(f"{many}_export", "GET", export_view(resource), **reads, query=export_query(resource), **ANSWER)
    if "create" in resource.can:
        created = {**row, "headers": (*row["headers"], "Location"), "permission": resource.create_permission}
        add(many, "POST", create_view(resource), *stored, body=resource.body, status=201, **created)
        _add_import(config, resource, add)
    if "change" in resource.can:
        _add_changes(resource, add, row, writes)
    if "delete" in resource.can:
        _add_deletes(resource, add, writes)
    if resource.tracked:
        route = f"{one}_changes"
        config.add_route(route, f"/{many}/{key_part(resource)}/changes")
        add(route, "GET", history_view(resource), "changes_gone", **reads, query=HistoryQuery, answer=RowChanges)


def _add_import(config: Configurator, resource: Resource[Any], add: Add) -> None:
    route = f"{resource.name}_import"
    config.add_route(route, f"/{resource.name}/import")
    add(
        *(route, "POST", import_view(resource), "invalid_csv", "too_many_rows", "import_too_long"),
        permission=resource.create_permission,
        query=ImportQuery,
        body=CsvBody,
        answer=Imported,
        max_body=config.registry.app_settings.api_import_max_body,
        in_batch=False,
    )


def _problems_of_storing(resource: Resource[Any]) -> tuple[str, ...]:
    return ("already_exists", "invalid_reference", *resource.problems)


def _problems_of_changing(resource: Resource[Any]) -> tuple[str, ...]:
    owned = ("not_owner",) if resource.owner is not None else ()
    return (*owned, *(("version_mismatch",) if resource.version is not None else ()))


def _add_changes(resource: Resource[Any], add: Add, row: Mapping[str, Any], writes: Mapping[str, Any]) -> None:
    """Add the views that change rows. PUT may also add one, so it is there only if rows can be added too."""
    one, stored = item_route(resource), _problems_of_storing(resource)
    problems = (*_problems_of_changing(resource), *stored)
    patch = MergePatch[resource.body]  # type: ignore[name-defined]
    add(one, "PATCH", patch_view(resource), *problems, body=patch, **writes, **row)
    if "create" in resource.can:
        replace, content = replace_view(resource), resource.body
        may_create = resource.key.is_uuid  # the database counts whole numbers, and clients choose none
        add(one, "PUT", replace, "version_mismatch", *problems, body=content, may_create=may_create, **writes, **row)
    if resource.filters:
        by_filter = {**writes, "query": filter_query(resource), "answer": Changed}
        change_many = change_many_view(resource)
        add(resource.name, "PATCH", change_many, *_problems_of_many(resource), *stored, body=patch, **by_filter)


def _add_deletes(resource: Resource[Any], add: Add, writes: Mapping[str, Any]) -> None:
    problems = ("in_use", *resource.problems)
    delete = delete_view(resource)
    add(item_route(resource), "DELETE", delete, *_problems_of_changing(resource), *problems, **writes, answer=None)
    if resource.filters:
        by_filter = {**writes, "query": filter_query(resource), "answer": Deleted}
        delete_many = delete_many_view(resource)
        add(resource.name, "DELETE", delete_many, *_problems_of_many(resource), *problems, **by_filter)


def _problems_of_many(resource: Resource[Any]) -> tuple[str, ...]:
    """Return the problems of a change by filter, which names no version, but takes ``If-Match: *``."""
    owned = ("not_owner",) if resource.owner is not None else ()
    return (*owned, "too_many_rows", "version_mismatch")


def list_view(resource: Resource[Any]) -> View:
    """Return the view of the list."""

    def list_rows(request: TenantRequest) -> dict[str, Any]:
        asked = read_list(resource, request.checked_query, request.access)
        session = request.tenant_session
        rows = find_asked(resource, session, asked, asked.limit + 1)
        shown = rows[: asked.limit]
        page: dict[str, Any] = {"items": [Fragment(row[2]) for row in shown], "next": None}
        if len(rows) > asked.limit:
            page["next"] = encode_cursor(asked.context, queries.place_of(resource, asked.sort, shown[-1]))
            add_link(request, page["next"])
        if asked.count_rows is not None:
            page["count"] = counting.count(resource, session, asked.where, asked.either, asked.search, asked.count_rows)
        return page

    return _named(list_rows, f"Return a page of {resource.name}.")


def read_view(resource: Resource[Any]) -> View:
    """Return the view of one row."""

    def read_row(request: TenantRequest) -> Fragment:
        return _answer(
            request, resource, queries.read_row(resource, request.tenant_session, path_key(request, resource))
        )

    return _named(read_row, f"Return one {resource.noun}.")


def create_view(resource: Resource[Any]) -> View:
    """Return the view that adds a row."""

    def create_row(request: TenantRequest) -> Fragment:
        row: Any = writing.create_row(resource, request.tenant_session, request.access, request.checked_body)
        return _created(request, resource, row)

    return _named(create_row, f"Add a {resource.noun}.")


def replace_view(resource: Resource[Any]) -> View:
    """Return the view that replaces a row, or with ``If-None-Match: *`` adds it under the id in the path."""

    def replace_row(request: TenantRequest) -> Fragment:
        _require(request, resource.read_permission)
        session, access, content = request.tenant_session, request.access, request.checked_body
        row_id, if_missing = path_key(request, resource), conditions_of(request).only_new
        if if_missing and isinstance(row_id, UUID):
            _require(request, resource.create_permission)
            try:
                row: Any = _missing(resource, request) and writing.create_row(
                    resource, session, access, content, row_id
                )
            except IdTaken as error:
                raise TransactionConflict from error  # somebody else was first; tried again, this request sees the row
            request.response.status_int = 201
            return _created(request, resource, row)
        writing.change_row(resource, session, access, row_id, lambda before: content, precondition(request))
        return _answer(request, resource, queries.read_row(resource, session, row_id))

    return _named(replace_row, f"Replace the content of a {resource.noun}. A field that is left out gets its default.")


def _require(request: TenantRequest, permission: str) -> None:
    """Raise ``PermissionMissing`` unless the person has this permission beside that of the view."""
    if not request.access.may(permission):
        raise PermissionMissing(permission)


def _missing(resource: Resource[Any], request: TenantRequest) -> bool:
    """Return True. Raises ``VersionMismatch`` if there is a row with the id in the path, and 412 for ``If-Match``."""
    try:
        present = queries.read_row(resource, request.tenant_session, path_key(request, resource))
    except NotFound as missing:
        if conditions_of(request).matched(None):
            return True
        raise ApiError(412, "version_mismatch", f"If-Match was sent. {missing}") from None
    shown = queries.text_of_others(resource, present)
    raise VersionMismatch(resource.noun, present.version or 0, present.json, shown)


def patch_view(resource: Resource[Any]) -> View:
    """Return the view that changes a part of a row."""

    def patch_row(request: TenantRequest) -> Fragment:
        _require(request, resource.read_permission)
        session, row_id = request.tenant_session, path_key(request, resource)
        change = partial(apply_patch, request.checked_body)
        writing.change_row(resource, session, request.access, row_id, change, precondition(request))
        return _answer(request, resource, queries.read_row(resource, session, row_id))

    return _named(patch_row, f"Change a part of a {resource.noun}, by a merge patch (RFC 7396).")


def delete_view(resource: Resource[Any]) -> View:
    """Return the view that deletes a row."""

    def delete_row(request: TenantRequest) -> Response:
        _require(request, resource.read_permission)
        session, row_id = request.tenant_session, path_key(request, resource)
        writing.delete_row(resource, session, request.access, row_id, precondition(request))
        return Response(status=204)

    return _named(delete_row, f"Delete a {resource.noun}.")


def change_many_view(resource: Resource[Any]) -> View:
    """Return the view that changes all rows that a filter selects."""

    def change_rows(request: TenantRequest) -> dict[str, int]:
        _require(request, resource.read_permission)
        change, where = partial(apply_patch, request.checked_body), _filters(request, resource)
        check_patch(request.checked_body, resource.body)  # also if the filters select nothing
        matched, changed = writing.change_rows(resource, request.tenant_session, request.access, where, change)
        return {"matched": matched, "changed": changed}

    return _named(
        change_rows, f"Change a part of all {resource.name} that the filters select, at most {resource.most}."
    )


def delete_many_view(resource: Resource[Any]) -> View:
    """Return the view that deletes all rows that a filter selects."""

    def delete_rows(request: TenantRequest) -> dict[str, int]:
        _require(request, resource.read_permission)
        where = _filters(request, resource)
        return {"deleted": writing.delete_rows(resource, request.tenant_session, request.access, where)}

    return _named(delete_rows, f"Delete all {resource.name} that the filters select, at most {resource.most}.")


def _filters(request: TenantRequest, resource: Resource[Any]) -> dict[str, Any]:
    where = filters_of(resource, request.checked_query)
    if not any(_narrows(resource.parameters[name].value, given) for name, given in where.items()):
        raise ApiError(400, "invalid_query", "Name at least one filter: without it, every row would be changed.")
    if_match = conditions_of(request).if_match
    if if_match is not None and if_match.strip(" \t") != "*":
        raise ApiError(412, "version_mismatch", "If-Match names a tag, and a list has none.")
    return where


def _narrows(type_: Any, given: Any) -> bool:
    """Return whether a filter is none that every row meets, as is a pattern of an empty field in somebody's page."""
    return type_ is not Pattern or given.strip("*") != ""


def _created(request: TenantRequest, resource: Resource[Any], row: Any) -> Fragment:
    request.response.location = request.route_path(item_route(resource), id=row.id)
    return _answer(request, resource, queries.read_row(resource, request.tenant_session, row.id))


def _answer(request: TenantRequest, resource: Resource[Any], row: queries.ShownRow) -> Fragment:
    if row.version is not None:
        send_version(request, row.version, queries.text_of_others(resource, row))
    return row.json


def _named(view: View, summary: str) -> View:
    """Return the view with its summary: a sentence in the document of the API."""
    view.__doc__ = summary
    return view
