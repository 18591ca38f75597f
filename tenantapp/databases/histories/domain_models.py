"""The modules of a domain in which migrations look for models, wherever in its package."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Final

from sqlalchemy import Table

from tenantapp.databases.errors import HistoryError
from tenantapp.settings import SettingsError
from tenantapp.tenancy.models import TenantBase

WITHOUT_MODELS: Final = frozenset({"alembic", "migrations", "tests"})  # packages of other code


class UnseenModel(SettingsError):
    """A model is in a module that migrations do not import. The application does not start, and says this sentence."""


def import_models(domain: str) -> None:
    """Import the models of a domain's package. Raises ``HistoryError`` if there are none."""
    if not _imported(domain):
        raise HistoryError(f"The domain's models are missing: there is no module {domain}.models.")


@cache
def _imported(domain: str) -> tuple[str, ...]:
    package = import_module(domain)
    modules = tuple(sorted(_model_modules(domain, getattr(package, "__path__", ()))))
    for name in modules:
        import_module(name)
    return modules


def _model_modules(package: str, path: Any, *, all_of_them: bool = False) -> Iterator[str]:
    """Yield the names of the modules ``models`` and ``..._models``, and of all modules in packages called so."""
    for finder, name, is_package in iter_modules(path):
        whole = f"{package}.{name}"
        holds_models = all_of_them or name == "models" or name.endswith("_models")
        if holds_models:
            yield whole
        if is_package and name not in WITHOUT_MODELS:
            # Finding a package does not import it.
            spec: Any = finder.find_spec(whole, None)
            yield from _model_modules(whole, spec.submodule_search_locations, all_of_them=holds_models)


@contextmanager
def models_are_seen(domain: str) -> Iterator[None]:
    """Raise ``UnseenModel`` if the block declares tables that the modules of models do not have.

    In the block the domain is included. A command works on the databases without that, so it would not know the tables.
    """
    _imported(domain)  # a domain without any may start
    seen = set(TenantBase.metadata.tables)
    yield
    unseen = [table for name, table in sorted(TenantBase.metadata.tables.items()) if name not in seen]
    if unseen:
        raise UnseenModel(
            f"The migrations do not see the table {unseen[0].name}{_declared_in(unseen[0])}: declare it in a module of "
            f"{domain} called models or ..._models, or import it there"
        )


def _declared_in(table: Table) -> str:
    models = [mapper.class_ for mapper in TenantBase.registry.mappers if mapper.local_table is table]
    return f" of {models[0].__module__}.{models[0].__qualname__}" if models else ""
