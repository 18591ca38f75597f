"""Operators work as somebody else, over HTTP."""

from typing import Any, Self
from uuid import UUID

from pydantic import Field, model_validator
from pyramid.config import Configurator
from pyramid.response import Response
from sqlalchemy import select
from sqlalchemy.orm import Session

from tenantapp.account import answers
from tenantapp.account.post import post_of
from tenantapp.account.session_views import named, read_back, session_object
from tenantapp.answers import Page
from tenantapp.api.json import Body
from tenantapp.api.views import ID, api_view, path_id
from tenantapp.content import example
from tenantapp.identity import impersonations, web_sessions
from tenantapp.identity.errors import NotFound
from tenantapp.identity.impersonations import MINUTES, MOST_MINUTES, Terms
from tenantapp.identity.models import User, WebSession
from tenantapp.identity.permissions import Permission
from tenantapp.identity.policy import cookie_token
from tenantapp.identity.users import get_user
from tenantapp.tenancy.request import TenantRequest


class NewImpersonation(
    Body, json_schema_extra=example({"login": "ada", "tenant": "acme", "reason": "Ticket 4711: a list stays empty"})
):
    """The body of ``POST /fleet/impersonations``: a person by ``login`` or ``user_id``, and how to work as them."""

    login: str | None = Field(None, max_length=1000)
    user_id: UUID | None = None
    tenant: str = Field(max_length=1000)
    reason: str = Field(max_length=1000)
    minutes: int = Field(MINUTES, ge=1, le=MOST_MINUTES)
    write: bool = False

    @model_validator(mode="after")
    def _one_person(self) -> Self:
        if (self.login is None) == (self.user_id is None):
            raise ValueError("Name the person either by login or by user_id.")
        return self


@api_view(
    "impersonations",
    "POST",
    permission=Permission.FLEET_OPERATE,
    body=NewImpersonation,
    writes="user",
    fresh=True,
    status=201,
    answer=answers.Session,
    headers=("Set-Cookie",),
    problems=(
        *("not_found", "not_signed_in", "impersonation_forbidden", "impersonation_refused"),
        *("tenant_unfinished", "tenant_deleted"),
    ),
)
def create_impersonation(request: TenantRequest) -> dict[str, Any]:
    """Work as somebody else in one tenant. The operator's own session ends, and the cookie is that of the new one.

    So a browser has one session at any time, and no tab can take one for the other.
    """
    body: NewImpersonation = request.checked_body
    session, token = request.user_session, web_sessions.new_token()
    user, terms = _person(session, body), Terms(body.reason, body.minutes, body.write)
    made = impersonations.start(session, token, request.access, user, body.tenant, terms, request.user_agent)
    web_sessions.end(session, cookie_token(request) or "")
    _tell(request, user, made)
    request.response.headerlist.extend(request.registry.security_policy.remember(request, token))
    return session_object(request, read_back(request, token), token)


@api_view("impersonations", "GET", permission=Permission.FLEET_OPERATE, answer=Page[answers.RunningImpersonation])
def list_impersonations(request: TenantRequest) -> dict[str, Any]:
    """Return who works as whom at present, newest first, in one page."""
    running = impersonations.list_running(request.user_session, request.registry.lifetimes)
    return {"items": [impersonation_object(*each) for each in running], "next": None}


@api_view(
    "impersonation",
    "DELETE",
    permission=Permission.FLEET_OPERATE,
    writes="user",
    answer=None,
    problems=("not_found",),
)
def end_impersonation(request: TenantRequest) -> Response:
    """End an impersonation of any operator, from the next request on."""
    impersonations.end(request.user_session, path_id(request))
    return Response(status=204)


def impersonation_object(web_session: WebSession, user: User) -> dict[str, Any]:
    """Return an impersonation as operators see it."""
    return {
        "id": web_session.id,
        "operator": web_session.impersonator,
        "user": {"id": user.id, "login": user.login, "name": user.name},
        "tenant": named(web_session.tenant) if web_session.tenant else None,
        "reason": web_session.impersonation_reason,
        "read_only": web_session.read_only,
        "started_at": web_session.created_at,
        "expires_at": web_session.expires_at,
    }


def _person(session: Session, body: NewImpersonation) -> User:
    if body.login is not None:
        return get_user(session, body.login)
    user = session.scalar(select(User).where(User.id == body.user_id))
    if user is None:
        raise NotFound("user", body.user_id)
    return user


def _tell(request: TenantRequest, user: User, web_session: WebSession) -> None:
    """Have the person told by mail, if they have a confirmed address."""
    tenant = web_session.tenant
    post_of(request).notice(
        request.user_session,
        user.mail_address,
        "impersonated" if web_session.read_only else "impersonated-writing",
        login=user.login,
        tenant=tenant.name if tenant else "",
        reason=web_session.impersonation_reason or "",
        until=f"{web_session.expires_at:%Y-%m-%d %H:%M} UTC",
    )


def includeme(config: Configurator) -> None:
    """Add the routes."""
    config.add_route("impersonations", "/fleet/impersonations")
    config.add_route("impersonation", f"/fleet/impersonations/{ID}")
