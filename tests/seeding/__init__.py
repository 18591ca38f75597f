"""A domain with hooks. Each leaves a row with a name in the tenant's database, or a line in a file.

It has the tables and the history of the bundled domain. While there is a file ``broken``, hooks that are called for a
tenant whose slug begins with ``bad`` raise an exception.
"""

import tempfile
from pathlib import Path
from typing import Any, Final

from tenantapp.databases.histories.histories import bundled
from tenantapp.sql.ids import uuid7
from tenantapp.workspace.models import Author, Tag

# Otherwise each process that is forked to be killed would import them.
from tests.seeding import models as models

SETTINGS: Final = {"tenantapp_domain": __name__, "migrations_tenant": str(bundled("tenant"))}


def place() -> Path:
    """Where the files are: programs that are killed have the tests' own directory of temporary files."""
    return Path(tempfile.gettempdir())


def lines() -> list[str]:
    """What was called after removals."""
    path = place() / "removed"
    return path.read_text().splitlines() if path.exists() else []


def leave(hook: Any, text: str) -> None:
    """Leave a row."""
    hook.session.add(Author(id=uuid7(), name=text))
    hook.session.flush()
    fail_if_broken(hook)


def fail_if_broken(hook: Any) -> None:
    if hook.tenant.slug.startswith("bad") and (place() / "broken").exists():
        raise ValueError("no seeds\nand no soil")


def seed(hook: Any) -> None:
    leave(hook, f"{hook.event} {hook.access.tenant.slug}")


def tag(hook: Any) -> None:
    hook.check()
    hook.session.add(Tag(name="new"))  # a tracked row
    hook.enqueue("greet", {"as": hook.tenant.slug})
    leave(hook, "tagged")


def greet(job: Any) -> None:
    job.session.add(Author(id=uuid7(), name=f"greeted {job.arguments['as']}"))


def renamed(hook: Any) -> None:
    leave(hook, f"{hook.former_slug} is {hook.tenant.slug}")


def cloned(hook: Any) -> None:
    leave(hook, f"{hook.event} {hook.tenant.slug} from {hook.original.slug}")


def removed(hook: Any) -> None:
    with (place() / "removed").open("a") as file:
        file.write(f"{hook.event} {hook.tenant.slug} {hook.tenant.database}\n")
    fail_if_broken(hook)


def includeme(config: Any) -> None:
    """Declare the hooks."""
    config.add_job("greet", greet)
    config.add_tenant_hook("created", f"{__name__}:seed")
    config.add_tenant_hook("created", tag)
    config.add_tenant_hook("cloned", cloned)
    config.add_tenant_hook("renamed", renamed)
    config.add_tenant_hook("deleted", removed)
