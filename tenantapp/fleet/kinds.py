"""All kinds of operation, and the chores of workers between operations."""

from typing import Final

from tenantapp.fleet.archives.cluster_directories import remove_left_clusters
from tenantapp.fleet.backups.backup_kind import BACKUP
from tenantapp.fleet.backups.export_kind import DISCARD_EXPORT, EXPORT
from tenantapp.fleet.backups.nightly_rehearsal import REHEARSE, rehearse_nightly
from tenantapp.fleet.backups.restore_kinds import RESTORE, RESTORE_AS
from tenantapp.fleet.bundles.importing import IMPORT
from tenantapp.fleet.closing.discarding import DISCARD
from tenantapp.fleet.copying.adopt import ADOPT
from tenantapp.fleet.copying.clone import CLONE
from tenantapp.fleet.copying.move import MOVE
from tenantapp.fleet.creating.create import CREATE
from tenantapp.fleet.creating.warm import WARM, keep_warm
from tenantapp.fleet.hooks.after import HOOK
from tenantapp.fleet.migrating.kind import MIGRATE
from tenantapp.fleet.removing.deletion import DELETE, delete_expired, purge_deleted
from tenantapp.fleet.removing.expired import remove_expired
from tenantapp.fleet.removing.unlisted_files import SWEEP_FILES
from tenantapp.fleet.storage import measure_storage
from tenantapp.fleet.verifying.standby_reports import report_replication
from tenantapp.operations.kinds import Kinds
from tenantapp.operations.worker import Chore
from tenantapp.usage.ledger import remove_old_usage

_OF_TENANTS: Final = (
    CREATE,
    DELETE,
    IMPORT,
    EXPORT,
    CLONE,
    MOVE,
    ADOPT,
    BACKUP,
    RESTORE,
    RESTORE_AS,
    MIGRATE,
    SWEEP_FILES,
)
_OTHERS: Final = (WARM, DISCARD, DISCARD_EXPORT, HOOK, REHEARSE)
KINDS: Final[Kinds] = {kind.name: kind for kind in (*_OF_TENANTS, *_OTHERS)}
CHORES: Final[tuple[Chore, ...]] = (
    delete_expired,
    purge_deleted,
    keep_warm,
    remove_expired,
    measure_storage,
    remove_old_usage,
    rehearse_nightly,
    remove_left_clusters,
    report_replication,
)
