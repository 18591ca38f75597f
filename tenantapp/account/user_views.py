"""Registration over HTTP."""

from typing import Any

from pydantic import Field
from pyramid.config import Configurator
from pyramid.security import NO_PERMISSION_REQUIRED

from tenantapp.account.answers import User
from tenantapp.api.json import Body
from tenantapp.api.views import api_view
from tenantapp.content import example
from tenantapp.credentials.password_rules import hash_new_password
from tenantapp.identity.errors import RegistrationClosed
from tenantapp.identity.look_alikes import check_own_login
from tenantapp.identity.names import check_login
from tenantapp.identity.policy import refuse_tokens
from tenantapp.identity.users import create_user
from tenantapp.settings import Settings
from tenantapp.tenancy.request import TenantRequest


class Registration(
    Body, json_schema_extra=example({"login": "grace", "password": "a long passphrase", "name": "Grace Hopper"})
):
    """The body of ``POST /users``."""

    login: str = Field(max_length=1000)
    password: str = Field(max_length=10_000)
    name: str | None = Field(None, max_length=1000)


@api_view(
    "users",
    "POST",
    permission=NO_PERMISSION_REQUIRED,
    body=Registration,
    writes="user",
    status=201,
    answer=User,
    problems=("already_exists", "registration_closed", "token_not_allowed"),
)
def create(request: TenantRequest) -> dict[str, Any]:
    """Register a person, who has no tenant yet. Raises ``RegistrationClosed`` unless the settings allow it."""
    refuse_tokens(request)
    settings: Settings = request.registry.app_settings
    if settings.identity_registration != "open":
        raise RegistrationClosed
    body: Registration = request.checked_body
    check_own_login(check_login(body.login))
    password_hash = hash_new_password(
        body.password,
        [body.login, body.name or ""],
        memory=settings.passwords_memory,
        breached=request.registry.breached_passwords,
    )
    user = create_user(request.user_session, body.login, name=body.name, password_hash=password_hash)
    return {"id": user.id, "login": user.login, "name": user.name}


def includeme(config: Configurator) -> None:
    """Add the route."""
    config.add_route("users", "/users")
