"""Declare the views of the fleet: what they have in common is written once."""

from functools import partial
from typing import Any, Final

from tenantapp.api.views import api_view
from tenantapp.console.answers import FleetOperation
from tenantapp.identity.permissions import Permission

# What may fail in the views of a tenant's administrators that use the store. The document has it for operators anyway.
FAILING: Final = ("fleet_failed", "store_unavailable")
# A view for operators; one that changes the user database; one that requests an operation.
fleet_view: Final[Any] = partial(api_view, permission=Permission.FLEET_OPERATE)
fleet_change: Final[Any] = partial(fleet_view, writes="user")
fleet_request: Final[Any] = partial(
    fleet_change, request_method="POST", status=202, answer=FleetOperation, headers=("Location",)
)
