"""The work of ``tenants sweep-files``."""

from typing import Final

from tenantapp.cli.on_tenants import OnTenants
from tenantapp.fleet.removing.unlisted_files import request_sweep

SWEEP: Final = OnTenants(
    request_sweep, ("slug", "files", "files_missing", "removed", "bytes"), "swept", {"files": 0, "files_missing": 0}
)
