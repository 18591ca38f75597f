"""SCIM 2.0 over HTTP: the directory of a tenant says who is there, with a token of its own.

These paths are outside of ``/api/v1`` and of its document. They speak the standard's media type and its errors.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPException
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import exception_view_config, view_config

from tenantapp.api.problems import exception_response
from tenantapp.credentials.throttling import Attempt, Kind
from tenantapp.federation.directory import Directory
from tenantapp.federation.errors import RequestRefused
from tenantapp.federation.models import IdentityProvider
from tenantapp.federation.provisioning_tokens import actor_of, recognise
from tenantapp.identity.errors import InvalidToken
from tenantapp.identity.names import SLUG
from tenantapp.identity.policy import bearer_token
from tenantapp.tenancy.access import ACTOR
from tenantapp.tenancy.outdated import explained
from tenantapp.tenancy.request import TenantRequest

MEDIA_TYPE: Final = "application/scim+json"
ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
MOST_BYTES: Final = 256 * 1024  # of a body
METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
# RFC 7644, section 3.12, knows these by a word of its own.
SCIM_TYPES: Final = {"already_exists": "uniqueness", "conflict": "uniqueness", "invalid": "invalidValue"}
OF_SCIM: Final = {422: 400}  # the statuses that SCIM has not


@view_config(route_name="scim", request_method=METHODS, permission=NO_PERMISSION_REQUIRED, max_body=MOST_BYTES)
def scim(request: TenantRequest) -> Response:
    """Carry out a request of the directory of a tenant."""
    # Only a process that a directory asks has the memory and the time for it.
    from scim2_server.requests import ScimRequest

    from tenantapp.federation.scim_service import answer

    slug, path = request.matchdict["slug"], request.matchdict["path"]
    place, provider_id, token = _recognised(request, slug)
    request.writes = "user"
    session = request.user_session
    session.info[ACTOR] = actor_of(token, request.request_id, request.actor.address)
    provider = session.get(IdentityProvider, provider_id)
    if provider is None:
        raise InvalidToken
    asked = ScimRequest(
        method=request.method,
        base_url=f"{request.application_url}/scim/v2/{slug}",
        path=f"/{path}",
        query=dict(request.GET),
        headers=dict(request.headers),
        body=request.body,
    )
    answered = answer(Directory(session, place, provider), asked)
    return _sent(answered.status.value, answered.headers, answered.body)


@exception_view_config(HTTPException, route_name="scim")
@exception_view_config(Exception, route_name="scim")
def scim_failed(error: Exception, request: TenantRequest) -> Response:
    """Answer an error as SCIM does, wherever it comes from."""
    if isinstance(error, RequestRefused):
        return _sent(error.status, error.headers, error.body)
    response = exception_response(explained(error, request), request)
    if response.status_int < 400:
        return response
    problem = orjson.loads(response.body)
    status = OF_SCIM.get(response.status_int, response.status_int)
    kind = SCIM_TYPES.get(problem["code"])
    body = {"schemas": [ERROR], "status": str(status), "detail": problem["detail"]}
    response.status_int = status
    response.body = orjson.dumps(body if kind is None else {**body, "scimType": kind})
    response.content_type = MEDIA_TYPE
    return response


def _recognised(request: TenantRequest, slug: str) -> Any:
    """Return what ``recognise`` does. Only wrong tokens are counted, so nobody locks a directory out by guessing.

    Raises ``InvalidToken`` and ``TooManyAttempts``.
    """
    try:
        return recognise(request.registry.user_db, slug, bearer_token(request) or "")
    except InvalidToken:
        request.registry.throttle.count(Attempt(Kind.PROVISIONING, slug, request.actor.address))
        raise


def _sent(status: int, headers: Mapping[str, str], content: Mapping[str, Any] | None) -> Response:
    response = Response(status=status)
    response.headers.update(headers)
    if content is None:
        del response.headers["Content-Type"]
    else:
        response.body = orjson.dumps(content)
    response.cache_control = "no-store"
    return response


def includeme(config: Configurator) -> None:
    """Add the route. The rest of the path is scim2-server's."""
    config.add_route("scim", f"/scim/v2/{{slug:{SLUG.pattern}}}/{{path:.*}}")
