"""What a domain declares of permissions and roles is checked when the application starts."""

from collections.abc import Callable
from typing import Any

import pytest

from tenantapp.identity.declared_rights import RightsError
from tests.declaring import BAD_ROLE_NAMES, application_of


def test_permissions_of_views_need_no_declaration() -> None:
    def views(config: Any) -> None:
        config.add_route("till", "/till")
        config.add_view(lambda request: request.response, route_name="till", permission="till.open")
        config.add_permission("till.count")

    known = application_of(views).registry.declared_rights.known
    assert {"till.open", "till.count", "content.edit_any", "members.manage"} <= known
    assert not known & {"session.use", "session.in_tenant", "fleet.operate", "tenant.enter"}


@pytest.mark.parametrize("name", BAD_ROLE_NAMES)
def test_a_role_needs_a_good_name(name: str) -> None:
    with pytest.raises(RightsError, match="needs a name"):
        application_of(lambda config: config.add_role(name, after="author"))


def _twice(config: Any) -> None:
    config.add_permission("stock.count", "Count")
    config.add_permission("stock.count", "Count again")


@pytest.mark.parametrize(
    ("includeme", "sentence"),
    [
        (_twice, "There are two permissions called stock.count"),
        (lambda config: config.add_permission("content.read", "Read"), "two permissions called content.read"),
        (lambda config: config.add_permission("count", "Count"), "'count' needs a name such as stock.count"),
        (lambda config: config.add_permission("stock.count", " "), "needs a description"),
        (lambda config: config.add_permission("a.b", "c", held_by=["edtor"]), r"edtor.*did you mean editor\?"),
        (lambda config: config.add_role("admin", after="author"), "There are two roles called admin"),
        (lambda config: config.add_role("clerk", after="autor"), r"autor.*did you mean author\?"),
        (lambda config: config.add_role("clerk", after="author", holds=["content.raed"]), r"mean content.read\?"),
        (lambda config: config.add_role("clerk", after="author", holds=["fleet.operate"]), "fleet.operate"),
    ],
)
def test_a_slip_in_a_declaration_keeps_the_application_from_starting(
    includeme: Callable[[Any], None], sentence: str
) -> None:
    with pytest.raises(RightsError, match=sentence):
        application_of(includeme)
