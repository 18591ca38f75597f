"""The leak test of the kit: it passes where nothing leaks, and names what does."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tenantapp.api import PREFIX
from tenantapp.api.problems import ApiError
from tenantapp.api.views import add_api_view
from tenantapp.content import Content
from tenantapp.identity.permissions import Permission
from tenantapp.testing.leaks import LeakCheck, LeakFound, NotFilled
from tests.functional.leaking import LEAKS
from tests.functional.leaking import includeme as leaking
from tests.installation import Installation, rolled_back
from tests.shop import app_including


@contextmanager
def with_views(installation: Installation, includeme: Any) -> Iterator[Installation]:
    """The installation with these views, rolled back."""
    app, original = app_including(installation, includeme), installation.app
    for name in ("user_db", "tenant_dbs", "access_reader"):
        setattr(app.registry, name, getattr(installation.registry, name))
    installation.app, installation.registry = app, app.registry
    with rolled_back(installation):
        yield installation
    installation.app, installation.registry = original, original.registry


def test_the_workspace_leaks_nothing(installation: Installation) -> None:
    check = LeakCheck(installation)
    check()
    assert check.requests > 150


def test_every_leak_is_named(shared_on_sqlite: Installation) -> None:
    with with_views(shared_on_sqlite, leaking) as installation, pytest.raises(LeakFound) as found:
        LeakCheck(installation)()
    row_id = "[0-9a-f]{8}-[0-9a-f-]{27}"
    named = {re.sub(row_id, "{id}", line.partition(" of globex")[0]) for line in str(found.value).splitlines()}
    assert {line for line in named if "ached" in line or "missing" in line} == LEAKS


class Word(Content):
    """A word that is refused in whatever way."""

    word: str


def test_a_route_without_a_good_example_needs_a_row(shared_on_sqlite: Installation) -> None:
    def refuse(request: Any) -> None:
        """Refuse every word."""
        raise ApiError(422, "invalid", "The word is wrong.")

    def includeme(config: Any) -> None:
        config.add_route("words", f"{PREFIX}/words")
        add_api_view(
            config, refuse, "words", "POST", permission=Permission.CONTENT_READ, body=Word, answer=None, status=201
        )

    refused = r"POST /api/v1/words refuses the example of the document \(422: .*: make such a row in the function"
    with with_views(shared_on_sqlite, includeme) as installation, pytest.raises(NotFilled, match=refused):
        LeakCheck(installation)()
