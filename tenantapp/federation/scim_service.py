"""Answer the requests of a directory by SCIM 2.0 (RFC 7643, RFC 7644), with scim2-server.

This module and what it imports take 20 MB and a third of a second. A process imports them at its first such request.
"""

from functools import cache
from typing import Any, Final

from scim2_models import (
    InvalidSyntaxException,
    PatchOp,
    ResourceType,
    SCIMException,
    TooManyException,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.service import ScimService

from tenantapp.federation import provisioned
from tenantapp.federation.directory import Directory
from tenantapp.federation.errors import RequestRefused
from tenantapp.federation.scim_models import scim_provider
from tenantapp.federation.scim_storage import DirectoryStorage

READING: Final = frozenset({"GET", "HEAD"})
FILTER_LENGTH: Final = 500  # characters; a filter is evaluated by functions that call themselves
MOST_OPERATIONS: Final = 500  # of a PATCH


class DirectoryService(ScimService):
    """The protocol, with bounds."""

    def read_patch(self, resource_type: ResourceType, body: bytes, content_type: str | None) -> "PatchOp[Any]":
        """Read the body of a PATCH. Raises ``TooManyException`` for one of too many operations."""
        patch = super().read_patch(resource_type, body, content_type)
        if len(patch.operations or ()) > MOST_OPERATIONS:
            raise TooManyException(detail=f"A PATCH has at most {MOST_OPERATIONS} operations.")
        return patch


@cache
def service() -> DirectoryService:
    """Return the service, which all tenants share: it keeps nothing of them."""
    return DirectoryService(scim_provider())


def answer(directory: Directory, request: ScimRequest) -> ScimResponse:
    """Carry out a request in the directory's transaction. Raises ``RequestRefused`` and what ``directory`` does."""
    try:
        return _answer(directory, request)
    except SCIMException as error:
        refused = service().error_response(error)
        raise RequestRefused(str(error), refused.status.value, refused.headers, refused.body or {}) from None


def _answer(directory: Directory, request: ScimRequest) -> ScimResponse:
    if request.method not in READING:
        provisioned.lock(directory.session, directory.tenant.id)
    if len(request.query.get("filter", "")) > FILTER_LENGTH:
        raise TooManyException(detail=f"A filter has at most {FILTER_LENGTH} characters.")
    try:
        return ScimHandler(service(), DirectoryStorage(directory)).handle(request)
    except RecursionError:
        raise InvalidSyntaxException(detail="The request is nested too deeply.") from None
