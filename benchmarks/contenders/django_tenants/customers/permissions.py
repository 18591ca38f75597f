"""Who may do what in the tenant that is being asked."""

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission

from customers.models import Membership

READERS = ("reader", "author", "editor", "admin")
WRITERS = ("author", "editor", "admin")


class IsMember(BasePermission):
    """The signed-in person has a role in the tenant that allows this."""

    def has_permission(self, request: Any, view: Any) -> bool:
        """One look-up in the public schema."""
        if not request.user.is_authenticated:
            return False
        roles = READERS if request.method in SAFE_METHODS else WRITERS
        return Membership.objects.filter(client=request.tenant, user=request.user, role__in=roles).exists()
