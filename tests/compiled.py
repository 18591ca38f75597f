"""Statements that are compiled once in a process, and not once for each engine.

Each test has engines of its own, and to compile what the program asks took a sixth of the time of a test that makes a
fleet. A program keeps its engines, and so has this anyway. As with one engine, the columns of a statement are those of
its first answer: ``text("SELECT * ...")`` is for ``exec_driver_sql``, which nobody keeps.
"""

from typing import Any, Final

from sqlalchemy.engine import Dialect, Engine
from sqlalchemy.orm import Mapper
from sqlalchemy.util import LRUCache

from tenantapp.tenancy.server_engines import ServerEngines

MOST: Final = 3000  # statements
# All that the engines of the program set otherwise for the one database than for the other.
SETTINGS: Final = ("paramstyle", "server_version_info", "default_schema_name", "use_native_hstore")


class _Statements(LRUCache[Any, Any]):
    """What an engine keeps by dialect and statement, by the kind of dialect and statement."""

    def get(self, key: Any, default: Any = None) -> Any:
        return super().get((_kind(key[0]), *key[1:]), default)

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__((_kind(key[0]), *key[1:]), value)


class _Shared:
    """The attribute in which an engine keeps its statements."""

    def __init__(self, statements: _Statements) -> None:
        self._statements = statements

    def __get__(self, engine: object, owner: object = None) -> _Statements:
        return self._statements

    def __set__(self, engine: object, own: object) -> None:
        """Leave its own alone."""


def share_compiled_statements() -> None:
    """Let all engines of this process have the same statements, those that are made later too."""
    statements = _Statements(MOST)
    Engine._compiled_cache = _Shared(statements)  # type: ignore[assignment]
    Mapper._compiled_cache = statements  # type: ignore[method-assign,assignment]
    make = ServerEngines.__init__

    def make_sharing(self: ServerEngines, *arguments: Any, **options: Any) -> None:
        make(self, *arguments, **options)
        self._compiled = statements

    ServerEngines.__init__ = make_sharing  # type: ignore[method-assign]


def _kind(dialect: Dialect) -> Any:
    """What a dialect has in common with those that compile statements likewise; before it has connected, itself."""
    known: Any = dialect.__dict__.get("compiles_like")
    if known is None:
        if dialect.server_version_info is None:
            return dialect
        settings = tuple(getattr(dialect, name, None) for name in SETTINGS)
        known = dialect.__dict__["compiles_like"] = (type(dialect), *settings)
    return known
