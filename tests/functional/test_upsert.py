"""Insert rows that may be there already, which both engines write alike."""

from sqlalchemy import func, select

from tenantapp.identity.groups import get_group
from tenantapp.identity.models import GroupMember
from tenantapp.identity.users import get_user
from tenantapp.sql.upsert import insert_ignoring_conflicts
from tests.installation import Installation


def test_rows_that_are_there_are_left_alone(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        group = get_group(session, "editors").id
        rows = [{"group_id": group, "user_id": get_user(session, login).id} for login in ("ed", "bob")]
        for _ in range(2):
            insert_ignoring_conflicts(session, GroupMember, rows)
        assert session.scalar(select(func.count()).select_from(GroupMember)) == 2
