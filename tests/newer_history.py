"""The user history of a newer version: ours, and more revisions."""

import shutil
from pathlib import Path
from typing import Final

from tenantapp.databases.histories.histories import bundled, head_revision
from tenantapp.settings import Settings

EXPANDS, CONTRACTS, EXPANDS_AGAIN = "feedc0de0001", "feedc0de0002", "feedc0de0003"
REVISION: Final = """
import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
{says}


def upgrade():
    {upgrade}


def downgrade():
    {downgrade}
"""
STEPS: Final = {
    EXPANDS: ('op.add_column("tenants", sa.Column("motto", sa.String(100)))', 'op.drop_column("tenants", "motto")', ""),
    CONTRACTS: (
        'op.execute("UPDATE tenants SET motto = slug")',
        'op.execute("UPDATE tenants SET motto = NULL")',
        "oldest_program = revision",
    ),
    EXPANDS_AGAIN: (
        'op.create_table("mottos", sa.Column("id", sa.Integer, primary_key=True))',
        'op.drop_table("mottos")',
        "",
    ),
}


def newer_history(settings: Settings, directory: Path, *revisions: str) -> str:
    """Make a history in this directory that has these revisions after ours. The value of ``migrations.user``."""
    shutil.copytree(bundled("user"), directory, ignore=shutil.ignore_patterns("__pycache__"))
    before = head_revision(settings, "user")
    for revision in revisions:
        upgrade, downgrade, says = STEPS[revision]
        text = REVISION.format(revision=revision, before=before, says=says, upgrade=upgrade, downgrade=downgrade)
        (directory / "versions" / f"{revision}_newer.py").write_text(text)
        before = revision
    return str(directory)
