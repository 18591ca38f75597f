"""Make and find groups, and change who is in them. A grant to a group gives all its people a role.

Each change is in the audit trail.
"""

from sqlalchemy import delete, select
from sqlalchemy.orm import Session, selectinload

from tenantapp.identity.audit import record
from tenantapp.identity.errors import InvalidValue, NotFound
from tenantapp.identity.models import Group, GroupMember
from tenantapp.identity.names import clean_group_name
from tenantapp.identity.uniqueness import flush_unique
from tenantapp.identity.users import get_user
from tenantapp.sql.upsert import insert_for


def create_group(session: Session, name: str) -> Group:
    """Make a group. Raises ``InvalidValue`` and ``AlreadyExists``."""
    group = Group(name=clean_group_name(name))
    session.add(group)
    flush_unique(session, "group", group.name)
    record(session, "group.create", detail={"group": group.name})
    return group


def get_group(session: Session, name: str) -> Group:
    """Return the group with this name. Raises ``NotFound``."""
    group = session.scalar(select(Group).where(Group.name == name))
    if group is None:
        raise NotFound("group", name)
    return group


def list_groups(session: Session) -> list[Group]:
    """Return all groups with their members, by name."""
    return list(session.scalars(select(Group).options(selectinload(Group.members)).order_by(Group.name)))


def join_group(session: Session, login: str, name: str) -> None:
    """Add a person to a group, unless they are in it already.

    Raises ``NotFound``, and ``InvalidValue`` for a service account.
    """
    user, group = get_user(session, login), get_group(session, name)
    if user.service_tenant_id is not None:
        # A group may have roles in several tenants.
        raise InvalidValue("login", f"{user.login} is a service account, which belongs to one tenant and to no group.")
    joins = insert_for(session, GroupMember).values(group_id=group.id, user_id=user.id).on_conflict_do_nothing()
    if session.scalar(joins.returning(GroupMember.user_id)) is not None:
        record(session, "group.join", detail={"group": group.name, "login": user.login})


def leave_group(session: Session, login: str, name: str) -> None:
    """Remove a person from a group, if they are in it. Raises ``NotFound``."""
    user, group = get_user(session, login), get_group(session, name)
    leaves = delete(GroupMember).where(GroupMember.group_id == group.id, GroupMember.user_id == user.id)
    if session.scalar(leaves.returning(GroupMember.user_id)) is not None:
        record(session, "group.leave", detail={"group": group.name, "login": user.login})
