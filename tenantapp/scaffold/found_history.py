"""Order the two first revisions of a package that is made of a database.

Alembic has written them by the models: first our tables, and then those that were found. The history begins with the
structure that was found, so that a database of this structure is at its first revision.
"""

import re
from pathlib import Path
from typing import Final

from tenantapp.databases.schemas.layout import laid_out
from tenantapp.scaffold.found import FoundDatabase

REVISION: Final = "as_found"
SCRIPT: Final = "as_found.sql"
BEGINNING: Final = '    """Move to this revision."""\n'
# Adopting a database adds this table, before anything is migrated.
IDENTITY: Final = re.compile(r'    op\.create_table\(\n        "tenant_identity",\n.*?\n    \)\n', re.DOTALL)
DROPPED_IDENTITY: Final = '    op.drop_table("tenant_identity")\n'
IDENTITY_COMMENT: Final = "    # Every tenant's database has it, and adopting another database adds it.\n"
# After these lines stand those imports.
IMPORTED: Final = (
    ("from collections.abc import Sequence\n", "from pathlib import Path\n"),
    (
        r"from alembic import op\n(?:from tenantapp\..*\n)*",
        "from tenantapp.databases.histories.scripts import run_script\n",
    ),
)
IN_ITS_WORDS: Final = """    if op.get_context().dialect.name == "{dialect}":
        # In its own words: so this is exactly the structure that was found.
        run_script(Path(__file__).parents[1] / "{script}")
        return
"""
DOWNGRADE: Final = '''def downgrade() -> None:
    """Refuse to move back: there is nothing before what was found."""
    raise NotImplementedError("There is no revision before the tables that were found.")
'''


def put_first(tables: Path, core: Path, package: str, found: FoundDatabase) -> None:
    """Let the revision of the tables, under the name ``as_found``, come before that of our tables."""
    first, second = tables.read_text(encoding="utf-8"), core.read_text(encoding="utf-8")
    first_id, second_id = (path.name.partition("_")[0] for path in (tables, core))
    first = first.replace(first_id, REVISION).replace(f"Revises: {second_id}", "Revises:")
    first = first.replace(f'= "{second_id}"', "= None", 1)
    second = second.replace("Revises:", f"Revises: {REVISION}", 1).replace("= None", f'= "{REVISION}"', 1)
    (identity,) = IDENTITY.findall(second)
    second = second.replace(identity, "").replace(DROPPED_IDENTITY, "")
    first = _in_its_words(first[: first.index("def downgrade()")] + DOWNGRADE, package, found)
    first = first.replace(BEGINNING, BEGINNING + IDENTITY_COMMENT + identity, 1)
    core.write_text(laid_out(second), encoding="utf-8")
    tables.unlink()
    (tables.parent / f"{REVISION}_{tables.name.partition('_')[2]}").write_text(first, encoding="utf-8")
    (tables.parents[1] / SCRIPT).write_text(found.words, encoding="utf-8")


def _in_its_words(revision: str, package: str, found: FoundDatabase) -> str:
    """Return the revision so that the engine of the database runs the script, and the other one what Alembic wrote."""
    # Types that only one engine has are in its own words already.
    own_type = rf'\.with_variant\(\s*{package}\.models\.Found\((?:"[^"]*"|\'[^\']*\')\), "{found.dialect.name}"\s*\)'
    revision = laid_out(re.sub(own_type, "", revision))
    script = IN_ITS_WORDS.format(dialect=found.dialect.name, script=SCRIPT)
    for line, more in IMPORTED:
        revision = re.sub(f"({line})", rf"\g<1>{more}", revision, count=1)
    return revision.replace(BEGINNING, BEGINNING + script, 1)
