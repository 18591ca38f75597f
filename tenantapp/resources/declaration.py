"""Declare a resource: a table of the tenant databases, and how clients may read and change its rows.

    products = Resource(
        "products", Product, body=ProductIn, shows=("stock",),
        read=Permission.CONTENT_READ, write=Permission.CONTENT_CREATE,
        owner=Owned(Product.owner_id, over=Permission.CONTENT_EDIT_ANY),
        filters={"supplier_id": Product.supplier_id, "low_stock": Flag(Product.stock <= Product.reorder_level)},
        sorts={"created": Product.id, "name": Product.name},
    )

The functions of a resource take a session, the access and plain arguments, and know nothing of HTTP. Views, scripts and
tests call the same ones.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Generic, Literal, TypeVar, get_args
from uuid import UUID

from sqlalchemy import ColumnElement, Enum, Select, inspect
from sqlalchemy.orm import InstrumentedAttribute, Mapper, Session

from tenantapp.content import Content
from tenantapp.resources.display import Display
from tenantapp.resources.filters import Filter, Match, Operator
from tenantapp.resources.keys import Key
from tenantapp.settings import SettingsError
from tenantapp.sql.prepared import DATABASE
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.models import Tracked

Model = TypeVar("Model")
Operation = Literal["create", "change", "delete"]
OPERATIONS: Final[tuple[Operation, ...]] = get_args(Operation)
Precondition = Callable[[int], bool]
"""Takes a row's version and returns whether the change is meant for it. A row without versions has version 0."""
NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
MOST_CHANGED: Final = 1000  # rows that one change by filter may change
NO_ARGUMENTS: Final[Mapping[str, Any]] = MappingProxyType({})
NO_DELAY: Final = timedelta(0)


class DeclarationError(SettingsError):
    """A resource is declared wrongly. The application does not start, and says this sentence."""


@dataclass(frozen=True)
class Owned:
    """Rows belong to people: ``column`` has the person's id. The permission ``over`` lets others change them."""

    column: InstrumentedAttribute[UUID]
    over: str


@dataclass(frozen=True)
class Value:
    """A field of the body that is not a column of the table.

    ``read`` returns the field's present value of a row. ``write`` stores a new one, before the row is flushed.
    """

    read: Callable[[Any], Any]
    write: Callable[[Session, Any, Any], None]


@dataclass(frozen=True)
class More:
    """Further members of a row as it is shown. ``joined`` adds what they need to the SELECT, one row to each row."""

    members: Mapping[str, ColumnElement[Any]]
    joined: Callable[[Select[*tuple[Any, ...]]], Select[*tuple[Any, ...]]] = lambda select: select


@dataclass(frozen=True)
class Write(Generic[Model]):
    """One row that is being written, as hooks see it. ``before`` and ``after`` are its content, or None."""

    operation: Operation
    session: Session
    access: Access
    row: Model
    before: Any = None
    after: Any = None

    def changes(self, field: str) -> bool:
        """Return whether the write gives this field of the body another value."""
        return getattr(self.before, field, None) != getattr(self.after, field, None)

    def enqueue(self, name: str, arguments: Mapping[str, Any] = NO_ARGUMENTS, *, after: timedelta = NO_DELAY) -> UUID:
        """Queue a job of the tenant in the transaction of the write, and return its id.

        Raises ``UnknownJob``, ``TypeError``, ``ValueError`` and ``TenantMigrating``, as ``request.enqueue`` does.
        """
        queue: Callable[..., UUID] = self.session.info[DATABASE].enqueue
        return queue(self.session, self.access, name, arguments, after=after)


Hook = Callable[[Write[Any]], Iterator[None] | None]


class Resource(Generic[Model]):
    """A declared resource; see the module.

    - ``name`` is its path and its name in the API; ``noun`` is one of its rows, in sentences and route names.
    - ``body`` is the model of what clients write. Its fields are columns of ``model``, or are in ``values``.
    - ``shows`` names further columns, or members of ``more``, that clients see and cannot write.
    - ``read`` and ``write`` are the permissions, and ``create`` is that for new rows, if it is another.
      ``owner`` says whose a row is.
    - ``filters`` and ``sorts`` are by the names that clients use. Each stands on an index; ``indexes.py`` looks.
    - ``search`` lets clients search by words, with ``q``; the model is ``Searched``.
    - ``touches`` are foreign keys of the model: a change of a row counts as a change of the row that it refers to.
    - ``more`` returns members that are not columns, for the page of rows that it is given. ``types`` are their types.
    - ``problems`` are the codes of the errors that hooks raise.
    - ``can`` is what clients may do with rows. ``can=("create",)``: rows are added and stay as they are.
    - ``most`` is how many rows one change by filter may change.
    - ``display`` says how the page shows it.
    """

    def __init__(
        self,
        name: str,
        model: type[Model],
        *,
        body: type[Content],
        read: str,
        write: str,
        create: str | None = None,
        noun: str | None = None,
        shows: Sequence[str] = (),
        owner: Owned | None = None,
        values: Mapping[str, Value] | None = None,
        filters: Mapping[str, Any] | None = None,
        sorts: Mapping[str, InstrumentedAttribute[Any]] | None = None,
        search: bool = False,
        touches: Sequence[InstrumentedAttribute[Any]] = (),
        more: Callable[[Any], More] | None = None,
        types: Mapping[str, Any] | None = None,
        problems: Sequence[str] = (),
        can: Sequence[Operation] = OPERATIONS,
        most: int = MOST_CHANGED,
        display: Display | None = None,
    ) -> None:
        self.name, self.noun = name, noun or name.removesuffix("s").replace("_", " ")
        self.model, self.body = model, body
        self.read_permission, self.write_permission, self.create_permission = read, write, create or write
        self.shows, self.owner, self.more = tuple(shows), owner, more
        self.values: Mapping[str, Value] = values or {}
        if not isinstance(filters or {}, Mapping) or not isinstance(sorts or {}, Mapping):
            raise DeclarationError(f"The filters and sorts of the resource {name} have to be dictionaries")
        self.filters: dict[str, Filter] = {name: _as_filter(each) for name, each in (filters or {}).items()}
        self.search, self.touches, self.most = search, tuple(touches), most
        self.member_types: Mapping[str, Any] = types or {}
        self.problems = tuple(problems)
        self.can = frozenset(can)
        if isinstance(can, str) or not self.can <= set(OPERATIONS):
            raise DeclarationError(f"What the resource {name} can has to be some of {', '.join(OPERATIONS)}")
        self.display = display or Display()
        self._sorts = sorts
        self._hooks: dict[Operation, list[Hook]] = {"create": [], "change": [], "delete": []}

    def __repr__(self) -> str:
        return f"Resource({self.name!r})"

    def on(self, *operations: Operation) -> Callable[[Hook], Hook]:
        """Call the decorated function before each such write: ``@products.on("delete")``.

        It takes a ``Write``, and may raise to refuse it. If it is a generator, what follows its ``yield`` runs after
        the row has been written, in the same transaction.
        """

        def decorate(hook: Hook) -> Hook:
            for operation in operations:
                if operation not in self._hooks:
                    raise DeclarationError(f"The hook is on {operation!r}, and not on create, change or delete")
                self._hooks[operation].append(hook)
            return hook

        return decorate

    def hooks(self, operation: Operation) -> Sequence[Hook]:
        """Return the hooks of an operation, in the order in which they were declared."""
        return self._hooks[operation]

    @cached_property
    def mapper(self) -> Mapper[Any]:
        """Return the mapper of the model. Raises ``DeclarationError`` if its key is not a single column ``id``."""
        mapper: Mapper[Any] = inspect(self.model)
        if [column.key for column in mapper.primary_key] != ["id"]:
            raise DeclarationError(f"The model of the resource {self.name} needs one primary key, id")
        return mapper

    @cached_property
    def key(self) -> Key:
        """Return the key of the rows."""
        column: Any = self.mapper.primary_key[0]
        return Key(column)

    @property
    def tracked(self) -> bool:
        """Return whether the changes of the rows are recorded, so that clients can follow them."""
        return issubclass(self.model, Tracked)

    @cached_property
    def version(self) -> Any:
        """Return the column that counts the changes of a row, or None."""
        return self.mapper.version_id_col

    @cached_property
    def version_attribute(self) -> str | None:
        """Return the name of the attribute of the version, which is also its name in JSON, or None."""
        return None if self.version is None else self.mapper.get_property_by_column(self.version).key

    @cached_property
    def sorts(self) -> dict[str, Any]:
        """Return the columns that a list can be sorted by. The first is the order of a list without ``_sort``."""
        key = self.mapper.primary_key[0]
        sorts: dict[str, Any] = {}
        for name, each in (self._sorts or {}).items():
            columns = getattr(getattr(each, "property", None), "columns", None)
            if not columns:
                raise DeclarationError(f"The sort {name} of the resource {self.name} is no column")
            sorts[name] = columns[0]
        sorts = sorts or {"id": key}
        for name, column in sorts.items():
            if column.nullable:
                raise DeclarationError(f"The sort {name} of the resource {self.name} is by a column that may be null")
        return sorts

    def describe(self) -> str:
        """Return what a row is: the summary of the model's docstring."""
        return (self.model.__doc__ or "").strip().partition("\n")[0]

    def column(self, member: str) -> Any:
        """Return the column of a member. Raises ``DeclarationError`` if the model has none."""
        attribute = self.fields.get(member, member)
        if attribute not in self.mapper.columns:
            raise DeclarationError(
                f"The resource {self.name} has the member {member}, and its model has no such column. Members of "
                "`more` are named in `types`, and fields that are no columns in `values`"
            )
        column = self.mapper.columns[attribute]
        if isinstance(column.type, Enum) and not _stores_values(column.type):
            raise DeclarationError(
                f"The column {column.name} of the resource {self.name} stores the names of an enumeration, and clients "
                "see its values: give the column's Enum a values_callable"
            )
        return column

    @cached_property
    def fields(self) -> dict[str, str]:
        """Return the fields of the body, by the name that they have in JSON."""
        return {field.alias or name: name for name, field in self.body.model_fields.items()}

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Return the members of a row as clients see it, in their order."""
        owner = (self.owner.column.key,) if self.owner else ()
        version = () if self.version_attribute is None else (self.version_attribute,)
        shown = ("id", *self.fields, *self.shows)
        more = set(self.shows)
        hidden_owner = owner if not more & {"owner", *owner} else ()
        return tuple(dict.fromkeys((*shown, *hidden_owner, *(name for name in version if name not in more))))

    @cached_property
    def parameters(self) -> dict[str, Operator]:
        """Return the operators of all filters, by the name of the query parameter."""
        return {
            f"{prefix}{name}": operator
            for name, each in self.filters.items()
            for prefix, operator in each.operators().items()
        }

    def may_change_all(self, access: Access) -> bool:
        """Return whether the person may change rows of others."""
        return self.owner is None or access.may(self.owner.over)


def _stores_values(type_: Enum) -> bool:
    members = type_.enum_class
    return members is None or type_.enums == [str(each.value) for each in members]


def _as_filter(declared: Any) -> Filter:
    return declared if isinstance(declared, Filter) else Match(declared)
