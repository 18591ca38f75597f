"""What a request knows before any database is asked."""

from tenantapp.tenancy.access import NOBODY, Actor
from tenantapp.tenancy.request import TenantRequest


def test_until_the_access_is_read_nobody_is_signed_in() -> None:
    request = TenantRequest.blank("/", environ={"REMOTE_ADDR": "192.0.2.7"})
    assert request.actor == Actor(NOBODY, None, request.request_id, "192.0.2.7")
