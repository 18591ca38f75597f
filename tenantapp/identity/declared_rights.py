"""The permissions and roles that a domain declares, and how the user database gets them.

``tenantapp init`` adds each of them once, and notes that. So it does not bring back what an operator has taken away.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated
from sqlalchemy.orm import Session

from tenantapp.identity.models import AppliedDeclaration, Role
from tenantapp.identity.names import PERMISSION_NAME, ROLE_NAME
from tenantapp.identity.permissions import OF_NO_ROLE, ROLES, Permission
from tenantapp.identity.roles import add_role, allow
from tenantapp.nearest_names import nearest
from tenantapp.settings import SettingsError
from tenantapp.sql.upsert import insert_for

THE_ROLE_ITSELF: Final = ""  # in place of a permission, in the notes of what was added


class RightsError(SettingsError):
    """A permission or a role is declared wrongly. The application does not start, and says this sentence."""


@dataclass(frozen=True)
class DeclaredRole:
    """A role that ranks above the role ``after``."""

    name: str
    after: str


@dataclass
class DeclaredRights:
    """What the domain has declared, in the order of its declarations."""

    permissions: dict[str, str] = field(default_factory=dict)
    """Descriptions by name."""
    translations: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """Of the descriptions: by name, and then by the code of their language."""
    roles: dict[str, DeclaredRole] = field(default_factory=dict)
    held: dict[tuple[str, str], None] = field(default_factory=dict)
    """Pairs of a role and a permission; a dict keeps their order."""
    used: set[str] = field(default_factory=set)
    """The permissions that views and resources ask for."""

    @property
    def known(self) -> frozenset[str]:
        """Return the permissions that a role may have."""
        return (frozenset(Permission) | self.permissions.keys() | self.used) - OF_NO_ROLE


class RightsConfigurator(Configurator):
    """The Configurator of the application.

    It is a class because Pyramid has a method ``add_permission`` already, which no directive can replace.
    """

    def add_permission(
        self,
        permission_name: str,
        description: str | None = None,
        held_by: Sequence[str] = (),
        translations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Declare a permission, and the roles that have it at first.

        ``config.add_permission("stock.count", "Count what is on the shelves", held_by=["author"])``. Roles that rank
        above one of ``held_by`` do not have the permission unless they are named too. The page shows the description,
        or the translation for its language, such as ``{"de": "Zählen, was in den Regalen ist"}``. Without a description
        it does what Pyramid's method does. Raises ``RightsError``.
        """
        if description is not None:
            _declare_permission(self.registry.declared_rights, permission_name, description, held_by)
            self.registry.declared_rights.translations[permission_name] = dict(translations)
        super().add_permission(permission_name)


def _declare_permission(rights: DeclaredRights, name: str, description: str, held_by: Sequence[str]) -> None:
    if not PERMISSION_NAME.fullmatch(name):
        raise RightsError(f"The permission {name!r} needs a name such as stock.count")
    if name in rights.permissions or name in frozenset(Permission):
        raise RightsError(f"There are two permissions called {name}")
    if not description.strip():
        raise RightsError(f"The permission {name} needs a description")
    rights.permissions[name] = description
    rights.held |= {(role, name): None for role in held_by}


def add_role_directive(config: Configurator, name: str, *, after: str, holds: Sequence[str] = ()) -> None:
    """Declare a role that ranks above the role ``after``, and the permissions that it has at first.

    This is the configuration directive ``config.add_role("warehouse", after="author", holds=["stock.count"])``. A role
    has no permissions of other roles: name all that it needs. Raises ``RightsError``.
    """
    rights: DeclaredRights = config.registry.declared_rights
    if not ROLE_NAME.fullmatch(name):
        raise RightsError(f"The role {name!r} needs a name in lower case, such as warehouse")
    if name in rights.roles or name in ROLES:
        raise RightsError(f"There are two roles called {name}")
    rights.roles[name] = DeclaredRole(name, after)
    rights.held |= {(name, permission): None for permission in holds}


def includeme(config: Configurator) -> None:
    """Put ``declared_rights`` on the registry, and add the directive ``add_role``."""
    config.registry.declared_rights = DeclaredRights()
    config.add_directive("add_role", add_role_directive, action_wrap=False)
    config.add_subscriber(_check, ApplicationCreated)  # all views are known then


def _check(event: ApplicationCreated) -> None:
    """Raise ``RightsError`` for a role or a permission that nothing declares."""
    rights: DeclaredRights = event.app.registry.declared_rights
    permissions = event.app.registry.introspector.get_category("permissions") or ()
    rights.used |= {entry["introspectable"]["value"] for entry in permissions}
    for role in rights.roles.values():
        _check_known("role", role.after, f"The role {role.name} is to rank above", [*ROLES, *rights.roles])
    for role_name, permission in rights.held:
        _check_known("role", role_name, f"The permission {permission} is declared for", [*ROLES, *rights.roles])
        _check_known("permission", permission, f"The role {role_name} is declared with", rights.known)


def _check_known(kind: str, name: str, where: str, known: Sequence[str] | frozenset[str]) -> None:
    if name not in known:
        raise RightsError(f"{where} the {kind} {name}, which nothing declares{nearest(name, known)}")


def apply_declared(session: Session, rights: DeclaredRights) -> list[str]:
    """Add what is declared and was never added before. Return a sentence for each thing that was done.

    What an operator has taken away stays away. A role that an operator has made under the same name is taken as it is.
    A role ranks lowest if the role that it is declared after is not there any more.
    """
    told = []
    for role in rights.roles.values():
        if _is_new(session, role.name, THE_ROLE_ITSELF) and session.get(Role, role.name) is None:
            after = role.after if session.get(Role, role.after) is not None else None
            add_role(session, role.name, after=after)
            told.append(f"The role {role.name} was added.")
    for name, permission in rights.held:
        if _is_new(session, name, permission) and session.get(Role, name) is not None:
            allow(session, name, permission, known=rights.known)
            told.append(f"The role {name} holds {permission}.")
    return told


def _is_new(session: Session, role: str, permission: str) -> bool:
    """Note that something is added. Return whether it was not noted before.

    Of two processes that do so at once, the second waits for the first, and is told that it was noted.
    """
    note = insert_for(session, AppliedDeclaration).values(role=role, permission=permission).on_conflict_do_nothing()
    return session.scalar(note.returning(AppliedDeclaration.role)) is not None
