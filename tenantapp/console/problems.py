"""Map the errors of the fleet to status and code."""

from pyramid.config import Configurator

from tenantapp.databases import errors as databases
from tenantapp.fleet import errors as fleet
from tenantapp.identity import errors as identity
from tenantapp.operations import errors as operations
from tenantapp.tenancy import errors as tenancy
from tenantapp.work import errors as work


def add_problems(config: Configurator) -> None:
    """Add the errors to the table of problems. A base class counts for those of its errors that are not here."""
    failed = "The work on the databases failed. The log has the cause, by request_id."
    config.add_problem(operations.FleetError, 500, "fleet_failed", detail=failed)
    config.add_problem(identity.TenantUnfinished, 409, "tenant_unfinished")
    config.add_problem(identity.TenantDeleted, 409, "tenant_deleted")
    config.add_problem(identity.TenantExpires, 409, "tenant_expires")
    config.add_problem(identity.HasAdministrator, 409, "has_administrator")
    config.add_problem(identity.TenantNotDeleted, 409, "tenant_not_deleted")
    config.add_problem(operations.TenantBusy, 409, "tenant_busy")
    config.add_problem(operations.OperationRefused, 409, "operation_refused")
    config.add_problem(work.JobRefused, 409, "job_refused")
    config.add_problem(fleet.BackupRefused, 409, "backup_refused")
    config.add_problem(fleet.BackupDamaged, 409, "backup_damaged")
    config.add_problem(fleet.CopyRequired, 409, "copy_required")
    config.add_problem(fleet.CopyRefused, 409, "copy_refused")
    config.add_problem(databases.MigrationRefused, 409, "migration_refused")
    config.add_problem(databases.HistoryError, 500, "history_unusable")
    config.add_problem(databases.UnknownRevision, 422, "unknown_revision")
    config.add_problem(databases.DatabaseBusy, 503, "busy")
    config.add_problem(fleet.BackupFailed, 503, "store_unavailable", detail=failed)
    config.add_problem(tenancy.ServerError, 503, "server_unavailable")
    config.add_problem(databases.DatabaseUnreachable, 503, "server_unavailable")
    config.add_problem(databases.ProvisioningFailed, 503, "server_unavailable")
