"""Write the rows of a resource: check owner and version on the locked row, call the hooks, and explain violations."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from inspect import isgeneratorfunction
from secrets import randbelow
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import Numeric, String, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import flag_modified

from tenantapp.content import Content
from tenantapp.resources.declaration import Precondition, Resource, Write
from tenantapp.resources.errors import InvalidField, NotFound, NotOwner, TooManyRows, VersionMismatch
from tenantapp.resources.filters import integer_range
from tenantapp.resources.keys import RowId
from tenantapp.resources.queries import read_row, text_of_others
from tenantapp.resources.shapes import conditions, shape_of
from tenantapp.resources.violations import explained
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.models import Tracked
from tenantapp.tenancy.recording import record_change

Model = TypeVar("Model")
SELECTED: Final = "tenantapp.rows_selected"
"""The key in a session's ``info`` of how many rows of each resource its changes by filter have selected."""
Change = Callable[[Any], Any]
"""Takes the present content of a row, and returns the new one."""


def any_version(version: int) -> bool:
    """Accept every version. This is the precondition of an unconditional change."""
    return True


def create_row(
    resource: Resource[Model], session: Session, access: Access, content: Content, row_id: UUID | None = None
) -> Model:
    """Add a row, owned by the access's person, and return it.

    Raises ``AlreadyExists``, ``InvalidReference``, ``InvalidField``, and what the hooks raise.
    """
    make: Callable[..., Model] = resource.model
    row = make() if row_id is None else make(id=row_id)
    if resource.owner is not None:
        setattr(row, resource.owner.column.key, access.person.id)
    write = Write("create", session, access, row, None, content)
    check_fits(resource, content)
    apply(resource, write)
    with explained(resource, session, "create", row) as flush, hooked(resource, write):
        session.add(row)
        flush()
        touch_parents(session, parents_of(resource, row))
    if row_id is not None or _gives_keys_again(resource, session):
        _begin_versions_anywhere(resource, session, row)
    return row


def _gives_keys_again(resource: Resource[Any], session: Session) -> bool:
    """Return whether the database may give a row the key of one that was deleted: SQLite does so with the last one."""
    return not resource.key.is_uuid and session.get_bind().dialect.name == "sqlite"


def create_rows(resource: Resource[Any], session: Session, access: Access, contents: Sequence[Content]) -> None:
    """Add rows, as ``create_row`` adds each of them.

    Where nothing of the domain looks at single rows, all are sent at once: then a violated constraint is not explained,
    and raises SQLAlchemy's ``IntegrityError`` or ``DataError``. Otherwise raises what ``create_row`` raises.
    """
    if resource.hooks("create") or resource.values or resource.touches or _gives_keys_again(resource, session):
        for content in contents:
            create_row(resource, session, access, content)
        return
    for content in contents:
        check_fits(resource, content)
        row = resource.model()
        if resource.owner is not None:
            setattr(row, resource.owner.column.key, access.person.id)
        apply(resource, Write("create", session, access, row, None, content))
        session.add(row)
    session.flush()


def _begin_versions_anywhere(resource: Resource[Any], session: Session, row: Any) -> None:
    """Let the versions of a row begin at a random number, and not at 1.

    A row that was deleted may have had its id before. Its entity tags must not count for the new row. A time would not
    do: both rows may be made within one tick of the clock.
    """
    if resource.version_attribute is None:
        return
    _, most = integer_range(resource.version.type)
    # Half of the numbers are left for the changes to come.
    model, begun = resource.model, 1 + randbelow(most // 2)
    session.execute(
        update(model)
        .where(resource.mapper.primary_key[0] == row.id)
        .values({resource.version_attribute: begun})
        .execution_options(synchronize_session=False)
    )
    session.expire(row, [resource.version_attribute])
    if issubclass(model, Tracked):
        record_change(session, resource.mapper.class_, row.id, "created", version=begun)


def change_row(
    resource: Resource[Model],
    session: Session,
    access: Access,
    row_id: RowId,
    change: Change,
    precondition: Precondition = any_version,
) -> Model:
    """Change a row's content by ``change``, and return the row. An unchanged content is not written.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``EditConflict``, and what ``create_row`` raises.
    """
    row = changeable_row(resource, session, access, row_id, precondition)
    _change(resource, session, access, row, change)
    return row


def patch_row(
    resource: Resource[Model],
    session: Session,
    access: Access,
    row_id: RowId,
    changes: Mapping[str, Any],
    precondition: Precondition = any_version,
) -> Model:
    """Change the fields of a row that ``changes`` names, and return the row. Raises what ``change_row`` raises.

    Raises pydantic's ``ValidationError`` if a new value is wrong.
    """
    return change_row(resource, session, access, row_id, lambda before: before.changed(changes), precondition)


def delete_row(
    resource: Resource[Any],
    session: Session,
    access: Access,
    row_id: RowId,
    precondition: Precondition = any_version,
) -> None:
    """Delete a row. Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``, ``InUse``, and what the hooks raise."""
    row = changeable_row(resource, session, access, row_id, precondition)
    _delete(resource, session, access, row)


def change_rows(
    resource: Resource[Any], session: Session, access: Access, where: Mapping[str, Any], change: Change
) -> tuple[int, int]:
    """Change all rows that a filter selects. Return how many it selects, and how many of them changed.

    All changes by filter in a session together may select ``most`` rows of the resource, also in the parts of a batch.
    Raises ``TooManyRows``, and what ``change_row`` raises. Then the caller has to roll back.
    """
    rows = _selected(resource, session, access, where)
    return len(rows), sum(_change(resource, session, access, row, change) for row in rows)


def delete_rows(resource: Resource[Any], session: Session, access: Access, where: Mapping[str, Any]) -> int:
    """Delete all rows that a filter selects, and return how many. Raises what ``change_rows`` and ``delete_row`` do."""
    rows = _selected(resource, session, access, where)
    for row in rows:
        _delete(resource, session, access, row)
    return len(rows)


def changeable_row(
    resource: Resource[Model], session: Session, access: Access, row_id: RowId, precondition: Precondition = any_version
) -> Model:
    """Return a row, locked until the end of the transaction, after all checks of who may change it, and which version.

    Raises ``NotFound``, ``NotOwner``, ``VersionMismatch``.
    """
    # FOR NO KEY UPDATE: rows that refer to this one can be added meanwhile.
    row = session.get(resource.model, row_id, with_for_update={"key_share": True}, populate_existing=True)
    if row is None:
        raise NotFound(resource.noun)
    check_owner(resource, access, row)
    version = 0 if resource.version is None else row_version(resource, row)
    if not precondition(version):
        current = read_row(resource, session, row_id)
        raise VersionMismatch(resource.noun, version, current.json, text_of_others(resource, current))
    return row


def check_owner(resource: Resource[Any], access: Access, row: Any) -> None:
    """Raise ``NotOwner`` unless the person owns the row or may change every row."""
    owner = resource.owner
    if owner is not None and getattr(row, owner.column.key) != access.person.id and not access.may(owner.over):
        raise NotOwner(resource.noun)


def row_version(resource: Resource[Any], row: Any) -> int:
    """Return the version of a row whose model has one."""
    version: int = getattr(row, resource.mapper.get_property_by_column(resource.version).key)
    return version


def content_of(resource: Resource[Any], row: Any) -> Any:
    """Return the content of a row. It is not checked: what was stored under other rules does not stand in the way."""
    values = {
        name: resource.values[name].read(row) if name in resource.values else getattr(row, name)
        for name in resource.body.model_fields
    }
    return resource.body.model_construct(**values)


def apply(resource: Resource[Any], write: Write[Any]) -> None:
    """Give the row the fields in which its content differs."""
    for name in resource.body.model_fields:
        if write.before is not None and not write.changes(name):
            continue
        value = getattr(write.after, name)
        if name in resource.values:
            resource.values[name].write(write.session, write.row, value)
        else:
            setattr(write.row, name, value)


def check_fits(resource: Resource[Any], content: Content, before: Content | None = None) -> None:
    """Raise ``InvalidField`` if a value is too long or too great for its column. SQLite would store it."""
    for alias, name in resource.fields.items():
        value = getattr(content, name)
        if name in resource.values or (before is not None and getattr(before, name) == value):
            continue
        type_ = resource.column(alias).type
        if isinstance(value, int) and not isinstance(value, bool):
            least, most = integer_range(type_)
            if not least <= value <= most:
                raise InvalidField(alias, f"The number must be between {least} and {most}.")
        elif isinstance(value, str) and isinstance(type_, String) and type_.length and len(value) > type_.length:
            raise InvalidField(alias, f"This text may have at most {type_.length} characters.")
        elif isinstance(value, Decimal) and isinstance(type_, Numeric):
            _check_decimal(alias, value, type_)


def _check_decimal(field: str, value: Decimal, type_: Numeric[Any]) -> None:
    if not value.is_finite():
        raise InvalidField(field, "This must be a number.")
    exponent, scale = value.as_tuple().exponent, type_.scale or 0
    if type_.scale is not None and isinstance(exponent, int) and -exponent > scale and value != round(value, scale):
        raise InvalidField(field, f"This number may have at most {scale} digits after the point.")
    if type_.precision is not None and value and value.adjusted() >= type_.precision - scale:
        raise InvalidField(field, f"This number may have at most {type_.precision - scale} digits before the point.")


@contextmanager
def hooked(resource: Resource[Any], write: Write[Any]) -> Iterator[None]:
    """Call the hooks of a write: before the block, and those that are generators also after it."""
    with ExitStack() as stack:
        for hook in resource.hooks(write.operation):
            if isgeneratorfunction(hook):
                stack.enter_context(contextmanager(hook)(write))
            else:
                hook(write)
        yield


def touch(row: Any) -> None:
    """Count a change of a row, also if no column of it changes, and set its ``updated_at`` if it has one."""
    # An UPDATE that sets a column to its present value counts a version, and takes each column's ``onupdate``.
    mapper = row.__mapper__
    quiet = (name for name, column in mapper.columns.items() if not column.primary_key and column.onupdate is None)
    flag_modified(row, next(name for name in quiet if mapper.columns[name] is not mapper.version_id_col))


def parents_of(resource: Resource[Any], row: Any) -> set[tuple[Any, Any]]:
    """Return the rows that ``touches`` says, each as its mapper and its id."""
    found = set()
    for attribute in resource.touches:
        (foreign,) = attribute.property.columns[0].foreign_keys
        mappers = resource.mapper.registry.mappers
        found.add((next(m for m in mappers if m.local_table is foreign.column.table), getattr(row, attribute.key)))
    return {(mapper, parent_id) for mapper, parent_id in found if parent_id is not None}


def touch_parents(session: Session, parents: set[tuple[Any, Any]]) -> None:
    """Count a change of each of these rows, in the order of their ids: others may lock them too."""
    for mapper, parent_id in sorted(parents, key=lambda parent: str(parent[1])):
        row = session.get(mapper, parent_id, with_for_update={"key_share": True})
        if row is not None:
            touch(row)
    if parents:
        session.flush()


def _change(resource: Resource[Any], session: Session, access: Access, row: Any, change: Change) -> bool:
    before = content_of(resource, row)
    after = change(before)
    if after == before:
        return False
    check_fits(resource, after, before)
    write = Write("change", session, access, row, before, after)
    with explained(resource, session, "change", row) as flush, hooked(resource, write):
        parents = parents_of(resource, row)
        apply(resource, write)
        touch(row)
        flush()
        touch_parents(session, parents | parents_of(resource, row))
    return True


def _delete(resource: Resource[Any], session: Session, access: Access, row: Any) -> None:
    write = Write("delete", session, access, row, content_of(resource, row), None)
    with explained(resource, session, "delete", row) as flush, hooked(resource, write):
        parents = parents_of(resource, row)
        session.delete(row)
        flush()
        touch_parents(session, parents)


def _selected(resource: Resource[Any], session: Session, access: Access, where: Mapping[str, Any]) -> list[Any]:
    selected = session.info.setdefault(SELECTED, Counter())
    left = resource.most - selected[resource.name]
    shape, values = shape_of(resource, where, {}, None)
    wanted = select(resource.model).where(*conditions(resource, shape)).order_by(resource.mapper.primary_key[0])
    wanted = wanted.limit(left + 1).with_for_update(key_share=True)
    rows = list(session.scalars(wanted.execution_options(populate_existing=True), values))
    if len(rows) > left:
        raise TooManyRows(resource.most)
    selected[resource.name] += len(rows)
    for row in rows:
        check_owner(resource, access, row)
    return rows
