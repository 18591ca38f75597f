"""Read and write the people and groups of one tenant's directory, as scim2-server asks for it.

Every statement names the identity provider of the tenant. So a directory finds what it has told itself, and a person
whom it does not see may as well not exist.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, cast
from uuid import UUID

from scim2_models import (
    NotFoundException,
    Path,
    PreconditionFailedException,
    Resource,
    ResourceType,
    ResponseParameters,
    ScimFilter,
    SearchRequest,
    TooManyException,
)
from scim2_models.path import CompareOperator, Comparison, FilterNode, LogicalExpr, LogicalOperator
from scim2_server.storage import ScimStorage, SearchPage
from sqlalchemy import ColumnElement, Select, false, func, select

from tenantapp.characters import not_in_a_line
from tenantapp.federation import directory as services
from tenantapp.federation.directory import Directory
from tenantapp.federation.models import ProvisionedGroup, ProvisionedPerson
from tenantapp.federation.provisioned import count_members, key_of, members_by_group
from tenantapp.federation.scim_models import Group, User, content_of, group_of, member_ids, user_of
from tenantapp.identity.models import User as Account

Row = ProvisionedPerson | ProvisionedGroup


class DirectoryStorage(ScimStorage):
    """The people and groups of a directory."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._session = directory.session

    def get(
        self,
        resource_type: ResourceType,
        resource_id: str,
        *,
        response_parameters: ResponseParameters[Any] | None = None,
    ) -> Resource[Any]:
        """Return a person or a group. Raises ``NotFoundException``."""
        return self._shown([self._row(resource_type, resource_id)], members=_has_members(response_parameters))[0]

    def search(
        self, resource_types: list[ResourceType], search_request: SearchRequest[Any], *, position: Any = None
    ) -> SearchPage:
        """Return a page of what a filter finds, in the order in which it was made. People come before groups.

        It has fewer groups than asked for if their members are too many. Raises ``TooManyException`` for a filter
        without an index in a large directory.
        """
        start, count = search_request.start_index_0 or 0, search_request.count or 0
        wanted = search_request.filter
        found: list[Row] = []
        total = 0
        for resource_type in resource_types:
            statement = self._statement(resource_type)
            if wanted is None:
                number = self._session.scalar(select(func.count()).select_from(statement.subquery())) or 0
                page = statement.offset(max(0, start - total)).limit(max(0, count - len(found)))
                found += self._session.scalars(page)
            else:
                matching = self._matching(statement, resource_type, wanted)
                number = len(matching)
                found += matching[max(0, start - total) :][: max(0, count - len(found))]
            total += number
        members = _has_members(search_request)
        return SearchPage(total, self._shown(self._within_bounds(found) if members else found, members=members))

    def create(self, resource_type: ResourceType, resource: Resource[Any]) -> Resource[Any]:
        """Make a person or a group. Raises what ``directory`` does."""
        row: Row
        if isinstance(resource, User):
            shown = resource if resource.active is not None else resource.model_copy(update={"active": True})
            row = services.add_person(self._directory, content_of(shown))
        else:
            group = cast(Group, resource)
            name, external_id = group.display_name or "", group.external_id or None
            row = services.add_group(self._directory, name, external_id, member_ids(group))
        return self._shown([row])[0]

    def update(
        self, resource_type: ResourceType, resource: Resource[Any], *, expected_version: str | None = None
    ) -> Resource[Any]:
        """Change a person or a group. Raises what ``directory`` does, and ``NotFoundException``."""
        row = self._row(resource_type, resource.id or "", expected_version)
        if isinstance(row, ProvisionedPerson):
            services.change_person(self._directory, row, content_of(cast(User, resource)))
        else:
            group = cast(Group, resource)
            name, external_id = group.display_name or "", group.external_id or None
            services.change_group(self._directory, row, name, external_id, member_ids(group))
        return self._shown([row])[0]

    def delete(self, resource_type: ResourceType, resource_id: str, *, expected_version: str | None = None) -> None:
        """Remove a person or a group. Raises ``NotFoundException`` and ``LastAdmin``."""
        row = self._row(resource_type, resource_id, expected_version)
        if isinstance(row, ProvisionedPerson):
            services.remove_person(self._directory, row)
        else:
            services.remove_group(self._directory, row)

    def _row(self, resource_type: ResourceType, resource_id: str, expected_version: str | None = None) -> Row:
        row = self._session.scalar(self._statement(resource_type).where(_is(resource_type, "id", resource_id)))
        if row is None:
            raise NotFoundException(detail=f"There is no {resource_type.name} with this id.")
        if expected_version not in (None, f'W/"{row.version}"'):
            raise PreconditionFailedException
        return cast(Row, row)

    def _statement(self, resource_type: ResourceType) -> Select[Any]:
        provider_id = self._directory.provider.id
        if resource_type.name == "Group":
            groups = select(ProvisionedGroup).where(ProvisionedGroup.provider_id == provider_id)
            return groups.order_by(ProvisionedGroup.id)
        # Operators are nobody's but their own.
        people = select(ProvisionedPerson).join(Account, Account.id == ProvisionedPerson.user_id)
        people = people.where(ProvisionedPerson.provider_id == provider_id, Account.operator.is_(False))
        return people.order_by(ProvisionedPerson.id)

    def _matching(self, statement: Select[Any], resource_type: ResourceType, wanted: ScimFilter[Any]) -> list[Row]:
        for condition in _indexed(resource_type, wanted.ast):
            statement = statement.where(condition)
        most = self._directory.bounds.looked_at
        rows = self._session.scalars(statement.limit(most + 1)).all()
        if len(rows) > most:
            raise TooManyException(detail="Filter by userName, externalId, displayName of a group, or id.")
        by_members = "members" in str(wanted).lower()
        if by_members and len(self._within_bounds(rows)) < len(rows):
            raise TooManyException(detail="Filter by displayName, externalId or id of a group as well.")
        shown = self._shown(rows, members=by_members)
        return [row for row, resource in zip(rows, shown, strict=True) if wanted.match(resource)]

    def _within_bounds(self, rows: Sequence[Row]) -> list[Row]:
        """Return the first of the rows: all, or as many as have no more members than a page may have, or one."""
        numbers = count_members(self._session, [row.id for row in rows if isinstance(row, ProvisionedGroup)])
        members = accumulate(numbers.get(row.id, 0) for row in rows)
        most = self._directory.bounds.members
        return [
            row for number, (row, so_far) in enumerate(zip(rows, members, strict=True)) if not number or so_far <= most
        ]

    def _shown(self, rows: Sequence[Row], *, members: bool = True) -> list[Resource[Any]]:
        """Return the rows as the directory sees them. With ``members``, groups have theirs."""
        ids = [row.id for row in rows if isinstance(row, ProvisionedGroup)]
        held = members_by_group(self._session, ids) if members and ids else {}
        return [
            user_of(row) if isinstance(row, ProvisionedPerson) else group_of(row, held.get(row.id, [])) for row in rows
        ]


def _has_members(asked: ResponseParameters[Any] | None) -> bool:
    """Return whether an answer has the members of groups."""
    if asked is None:
        return True
    kept = Path[Group].iter_paths(
        include_subattributes=False, attributes=asked.attributes, excluded_attributes=asked.excluded_attributes
    )
    return "members" in map(str, kept)


def _indexed(resource_type: ResourceType, node: FilterNode) -> list[ColumnElement[bool]]:
    """Return the conditions that a database finds by an index, among those that must all hold."""
    if isinstance(node, LogicalExpr) and node.op == LogicalOperator.and_:
        return [condition for term in node.terms for condition in _indexed(resource_type, term)]
    if not isinstance(node, Comparison) or node.op != CompareOperator.eq or not isinstance(node.value, str):
        return []
    name = node.attr_path.attr.lower()
    plain = node.attr_path.sub_attr is None and name in _columns(resource_type)
    return [_is(resource_type, name, node.value)] if plain else []


def _is(resource_type: ResourceType, name: str, value: str) -> ColumnElement[bool]:
    column, converted = _columns(resource_type)[name]
    if not_in_a_line().search(value):
        return false()  # nothing has it, and PostgreSQL would refuse to compare it
    return cast(ColumnElement[bool], column == converted(value))


def _columns(resource_type: ResourceType) -> dict[str, tuple[Any, Callable[[str], Any]]]:
    model: Any = ProvisionedGroup if resource_type.name == "Group" else ProvisionedPerson
    own = (
        {"displayname": (ProvisionedGroup.display_name_key, key_of)}
        if resource_type.name == "Group"
        else {"username": (ProvisionedPerson.user_name_key, key_of)}
    )
    return {"id": (model.id, _id), "externalid": (model.external_id, str), **own}


def _id(text: str) -> UUID:
    """Return the id in a text, or one that no row has."""
    try:
        return UUID(text)
    except ValueError:
        return UUID(int=0)
