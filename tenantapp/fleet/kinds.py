"""The kinds of operation there are, and what workers see to between operations."""

from typing import Final

from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.backups.restore_kinds import RESTORE, RESTORE_AS
from tenantapp.fleet.bundles.export_kind import DISCARD_EXPORT, EXPORT
from tenantapp.fleet.bundles.importing import IMPORT
from tenantapp.fleet.copying.adopt import ADOPT
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.fleet.copying.move import MOVE
from tenantapp.fleet.creation import CREATE
from tenantapp.fleet.deletion import DELETE, purge_deleted
from tenantapp.fleet.discarding import DISCARD
from tenantapp.fleet.migrating.kind import MIGRATE
from tenantapp.fleet.operations.kinds import Kinds
from tenantapp.fleet.operations.worker import Chore
from tenantapp.fleet.warm import WARM, keep_warm

KINDS: Final[Kinds] = {
    kind.name: kind
    for kind in (
        *(CREATE, DELETE, IMPORT, EXPORT, CLONE, MOVE, ADOPT, BACKUP, RESTORE, RESTORE_AS, MIGRATE),
        *(WARM, DISCARD, DISCARD_EXPORT),
    )
}
CHORES: Final[tuple[Chore, ...]] = (purge_deleted, keep_warm)
