"""Migrations see the models of a domain wherever they are in its package, and a start says which they do not see."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tenantapp import main
from tenantapp.databases.histories.domain_models import import_models
from tenantapp.databases.histories.histories import bundled, tenant_metadata
from tenantapp.tenancy.models import TenantBase

TABLE = (
    "import sqlalchemy as sa\nfrom tenantapp.tenancy.models import TenantBase\nsa.Table({!r}, TenantBase.metadata)\n"
)
MODEL = """
from sqlalchemy.orm import Mapped, mapped_column
from tenantapp.tenancy.models import TenantBase

class Movement(TenantBase):
    __tablename__ = "movements"
    id: Mapped[int] = mapped_column(primary_key=True)
"""


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory of new packages. What they declare is forgotten at the end."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = dict(TenantBase.metadata.tables)
    yield tmp_path
    for table in set(TenantBase.metadata.tables.values()) - set(before.values()):
        TenantBase.metadata.remove(table)


def write(package: Path, **modules: str) -> None:
    """Write a package with these modules."""
    package.mkdir()
    for name, text in {"__init__": "", **modules}.items():
        (package / f"{name}.py").write_text(text)


def test_models_are_found_in_sub_packages(made: Path) -> None:
    write(made / "wide", models=TABLE.format("wide_a"))
    write(made / "wide" / "stock", order_models=TABLE.format("wide_b"), views="raise RuntimeError")
    write(made / "wide" / "stock" / "models", lines=TABLE.format("wide_c"))
    write(made / "wide" / "tests", models="raise RuntimeError")
    write(made / "wide" / "migrations", c0ffee_more_models="raise RuntimeError")
    import_models("wide")
    assert {"wide_a", "wide_b", "wide_c"} <= TenantBase.metadata.tables.keys()


@pytest.mark.parametrize("imported", [False, True])
def test_a_model_that_migrations_do_not_see_ends_the_start(made: Path, imported: bool) -> None:
    name = f"ledger_{imported}"
    models = f"from {name} import book as book" if imported else TABLE.format("accounts")
    write(made / name, models=models, book=MODEL)
    (made / name / "__init__.py").write_text("def includeme(config):\n    config.include('.views')\n")
    (made / name / "views.py").write_text(f"from {name}.book import Movement\ndef includeme(config): pass\n")
    values = {"user_db.url": f"sqlite+pysqlite:///{made}/user.sqlite", "servers.main": f"sqlite+pysqlite:///{made}/t/"}
    values |= {"tenantapp.domain": name, "migrations.tenant": str(bundled("tenant"))}
    if imported:
        main({}, **values)
        return
    with pytest.raises(SystemExit) as ended:
        main({}, **values)
    assert str(ended.value) == (
        "tenantapp: The migrations do not see the table movements of ledger_False.book.Movement: declare it in a "
        "module of ledger_False called models or ..._models, or import it there."
    )


def test_a_package_that_includes_two_domains_is_a_domain(made: Path) -> None:
    for name in ("stockpart", "billpart"):
        includeme = f"def includeme(config):\n    config.add_permission('{name}.see', 'See')\n"
        includeme += f"    config.add_setting('{name}.size', int, 3, 'how much')\n"
        write(made / name, models=TABLE.format(name))
        (made / name / "__init__.py").write_text(includeme)
    write(made / "twoparts", models="import stockpart.models, billpart.models\n")
    includeme = "def includeme(config):\n    config.include('stockpart')\n    config.include('billpart')\n"
    (made / "twoparts" / "__init__.py").write_text(includeme)
    values = {"user_db.url": f"sqlite+pysqlite:///{made}/user.sqlite", "servers.main": f"sqlite+pysqlite:///{made}/t/"}
    values |= {"tenantapp.domain": "twoparts", "migrations.tenant": str(bundled("tenant")), "billpart.size": "4"}
    registry = main({}, **values).registry
    assert {"stockpart", "billpart"} <= tenant_metadata(registry.app_settings).tables.keys()
    assert registry.domain_settings == {"stockpart.size": 3, "billpart.size": 4}
    assert {"stockpart.see", "billpart.see"} <= registry.declared_rights.permissions.keys()
