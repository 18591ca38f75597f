"""A program that exports or imports a bundle, and hangs at its first row, or may write only so much to a file."""

import json
import resource
from pathlib import Path
from uuid import UUID

from tenantapp.fleet.bundles import importing
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.loading import load_bundle
from tenantapp.operations.errors import FleetError
from tenantapp.operations.fleet import fleet_of
from tenantapp.settings import read_settings
from tenantapp.tenancy.access import TenantPlace
from tests.contract.hanging import hang


def main(values: str, what: str, place: str, file: str, limit: str = "") -> int:
    """Export the tenant of this place, or import one that is called copy. With ``limit``, in bytes, do not hang."""
    fleet = fleet_of(read_settings(json.loads(values), {}))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))

    def progress(*_: object) -> None:
        if not limit:
            hang()

    try:
        if what == "export":
            tenant_id, *described = json.loads(place)
            export_bundle(fleet, TenantPlace(UUID(tenant_id), *described), Path(file), progress)
        else:
            importing.load_bundle = lambda fleet, place, file, _: load_bundle(fleet, place, file, progress)
            importing.import_tenant(fleet, Path(file), "copy")
    except FleetError as error:
        print(error)
    return 0
