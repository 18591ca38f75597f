"""The content of files goes where their rows go: into clones, backups and restored tenants, and away with a tenant."""

import hashlib
import os
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZipFile

import pytest

from tenantapp.files.storage import Storage, open_storage
from tenantapp.fleet.backups.retention import prune
from tenantapp.fleet.bundles.exporting import check_bundle, export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.fleet.copying.requests import request_clone
from tenantapp.fleet.removing.unlisted_files import request_sweep
from tenantapp.operations.errors import OperationRefused
from tenantapp.sql.ids import uuid7
from tenantapp.sql.times import utcnow
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.models import TenantBase
from tests.contract.conftest import Fleet
from tests.contract.kept import Kept
from tests.contract.rows import connected

FILES = TenantBase.metadata.tables["tenant_files"]


class Carried(Kept):
    """The tenant acme has the files ``one`` and ``two``."""

    def __init__(self, fleet: Fleet) -> None:
        super().__init__(fleet)
        fleet.change_settings(files_storage=str(fleet.directory / "stored"))
        self.acme = self.place()
        self.ids = [self.put(content) for content in (b"one", b"two" * 10**6)]

    @property
    def storage(self) -> Storage:
        return open_storage(self.fleet.settings)

    def put(self, content: bytes) -> UUID:
        """Add a file to acme."""
        file_id = uuid7()
        self.storage.write(self.acme.id, file_id, [content])
        row = {"id": file_id, "name": "x", "media_type": "a/b", "size": len(content), "created_at": utcnow()}
        row |= {"sha256": hashlib.sha256(content).hexdigest(), "created_by_id": uuid7(), "created_by_name": "Ada"}
        with connected(self.fleet, self.acme) as connection:
            connection.execute(FILES.insert(), row)
        return file_id

    def delete_file(self, file_id: UUID) -> None:
        """Delete a file of acme as the application does."""
        with connected(self.fleet, self.place()) as connection:
            connection.execute(FILES.delete().where(FILES.c.id == file_id))
        self.storage.remove(self.acme.id, file_id)

    def listed(self, place: TenantPlace) -> list[UUID]:
        with connected(self.fleet, place) as connection:
            return list(connection.scalars(FILES.select().order_by(FILES.c.id)))

    def contents(self, place: TenantPlace) -> list[bytes]:
        """The content of all files that a tenant lists, shortest first; nothing else may lie there."""
        listed = self.listed(place)
        assert self.storage.sizes(place.id).keys() == set(listed)
        return sorted((b"".join(self.storage.read(place.id, file_id)) for file_id in listed), key=len)


CONTENTS = [b"one", b"two" * 10**6]


@pytest.fixture
def carried(fleet: Fleet) -> Carried:
    return Carried(fleet)


def clone(carried: Carried, **options: Any) -> UUID:
    return carried.ask(request_clone, "acme", "copy", **options)


def test_a_clone_has_files_of_its_own(carried: Carried) -> None:
    result = carried.done(clone(carried)).result
    assert (result["files"], "files_missing" in result) == (2, False)
    copy = carried.place("copy")
    assert copy.id != carried.acme.id
    carried.delete_file(carried.ids[0])
    assert carried.contents(copy) == CONTENTS
    assert carried.contents(carried.acme) == CONTENTS[1:]


def test_a_clone_without_people_has_no_files(carried: Carried) -> None:
    result = carried.done(clone(carried, without_people=True)).result
    assert "files" not in result
    assert carried.contents(carried.place("copy")) == []


def test_a_clone_says_which_content_is_gone(carried: Carried) -> None:
    carried.storage.remove(carried.acme.id, carried.ids[0])
    result = carried.done(clone(carried)).result
    assert (result["files"], result["files_missing"]) == (2, 1)
    assert carried.storage.sizes(carried.place("copy").id).keys() == set(carried.ids[1:])


def test_a_clone_that_is_killed_while_files_are_carried_is_finished(carried: Carried) -> None:
    operation = clone(carried)
    carried.worker_killed_at("files.bring_one:after")
    carried.fleet.settle()
    assert carried.outcome(operation).state == "succeeded"
    assert carried.contents(carried.place("copy")) == CONTENTS


def test_a_clone_that_fails_leaves_no_files(carried: Carried) -> None:
    carried.storage.remove(carried.acme.id, carried.ids[1])
    (carried.fleet.directory / "stored" / carried.acme.id.hex / carried.ids[1].hex).mkdir()
    assert "files of the tenant copy were not carried" in carried.failed(clone(carried))
    assert [path.name for path in (carried.fleet.directory / "stored").iterdir()] == [carried.acme.id.hex]
    assert carried.slugs() == ["acme"]


def test_a_restore_brings_back_files_that_were_deleted(carried: Carried) -> None:
    result = carried.done(carried.backup()).result
    assert (result["files"], "files_missing" in result) == (2, False)
    carried.delete_file(carried.ids[0])
    later = carried.put(b"later")
    assert carried.done(carried.restore()).result["files"] == 2
    again = carried.place()
    assert set(carried.listed(again)) == set(carried.ids)
    # What was uploaded after the backup lies there without a row, for the sweep.
    carried.storage.remove(again.id, later)
    assert carried.contents(again) == CONTENTS
    carried.done(carried.restore_as("acme", "past"))
    assert carried.contents(carried.place("past")) == CONTENTS


def test_a_removed_tenant_comes_back_with_its_files(carried: Carried) -> None:
    result = carried.done(carried.delete()).result
    assert result["final_copy"]["files"] == 2
    assert carried.storage.sizes(carried.acme.id) == {}
    assert not (carried.fleet.directory / "stored" / carried.acme.id.hex).exists()
    carried.done(carried.restore_as("acme", "acme", tenant_id=carried.acme.id))
    assert carried.contents(carried.place()) == CONTENTS


def test_a_tenant_that_is_removed_without_a_copy_leaves_no_files(carried: Carried) -> None:
    carried.done(carried.delete(copy=False))
    assert [*(carried.fleet.directory / "stored").iterdir()] == []


def test_files_are_kept_once_and_for_as_long_as_a_backup_refers_to_them(carried: Carried) -> None:
    carried.done(carried.backup())
    before = carried.store.kept_files(carried.acme.id)
    carried.delete_file(carried.ids[0])
    newer = carried.put(b"newer")
    carried.done(carried.backup())
    store, policy = carried.store, {"daily": 1}
    assert before == set(carried.ids)
    assert store.kept_files(carried.acme.id) == {*carried.ids, newer}
    # The older of two backups of a day is removed; what only it refers to stays for a day.
    prune(store, carried.acme.id, policy, utcnow())
    assert store.kept_files(carried.acme.id) == {*carried.ids, newer}
    prune(store, carried.acme.id, policy, utcnow() + timedelta(days=2))
    assert store.kept_files(carried.acme.id) == {carried.ids[1], newer}
    carried.done(carried.restore_as("acme", "past"))
    assert carried.contents(carried.place("past")) == [b"newer", *CONTENTS[1:]]


def test_a_backup_says_which_content_is_gone_or_damaged(carried: Carried) -> None:
    carried.storage.remove(carried.acme.id, carried.ids[0])
    (carried.fleet.directory / "stored" / carried.acme.id.hex / carried.ids[1].hex).write_bytes(b"altered")
    result = carried.done(carried.backup()).result
    assert (result["files"], result["files_missing"]) == (2, 2)
    (record,) = carried.store.records(carried.acme.id)
    assert (record.files, record.files_missing) == (2, 2)
    assert carried.store.kept_files(carried.acme.id) == set()
    assert carried.done(carried.restore_as("acme", "past")).result["files_missing"] == 2


def test_a_bundle_carries_files(carried: Carried, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    manifest = export_bundle(carried.fleet.services, carried.acme, bundle)
    assert [(file.id, file.size) for file in manifest.files] == [(carried.ids[0], 3), (carried.ids[1], 3 * 10**6)]
    assert check_bundle(bundle) == manifest
    copy = import_tenant(carried.fleet.services, bundle, "copy")
    assert carried.contents(copy) == CONTENTS


def test_a_bundle_without_files_does_not_speak_of_files(carried: Carried, tmp_path: Path) -> None:
    for file_id in carried.ids:
        carried.storage.remove(carried.acme.id, file_id)
    bundle = tmp_path / "bundle"
    manifest = export_bundle(carried.fleet.services, carried.acme, bundle)
    # Those of PostgreSQL have sequences.
    assert (manifest.version, manifest.files) == (1 if carried.fleet.admin is None else 3, ())
    with ZipFile(bundle) as archive:
        assert b'"files"' not in archive.read("manifest.json")
    copy = import_tenant(carried.fleet.services, bundle, "copy")
    assert len(carried.listed(copy)) == 2
    assert carried.storage.sizes(copy.id) == {}


def sweep(carried: Carried) -> dict[str, Any]:
    return carried.done(carried.ask(request_sweep, "acme")).result


def age(carried: Carried, file_id: UUID) -> None:
    """Let the content be two days old."""
    path = carried.fleet.directory / "stored" / carried.acme.id.hex / file_id.hex
    moment = (utcnow() - timedelta(days=2)).timestamp()
    os.utime(path, (moment, moment))


def test_a_sweep_removes_what_no_row_lists_and_is_old(carried: Carried) -> None:
    fresh, old = uuid7(), uuid7()
    for file_id in (fresh, old):
        carried.storage.write(carried.acme.id, file_id, [b"left"])
    (carried.fleet.directory / "stored" / carried.acme.id.hex / "not-ours").touch()
    for file_id in (*carried.ids, old):
        age(carried, file_id)
    assert sweep(carried) == {"removed": 1, "bytes": 4, "files": 2}
    assert carried.storage.sizes(carried.acme.id).keys() == {*carried.ids, fresh}
    assert (carried.fleet.directory / "stored" / carried.acme.id.hex / "not-ours").exists()
    carried.storage.remove(carried.acme.id, carried.ids[0])
    assert sweep(carried) == {"removed": 0, "bytes": 0, "files": 2, "files_missing": 1}


def test_a_sweep_that_is_killed_is_finished(carried: Carried) -> None:
    left = uuid7()
    carried.storage.write(carried.acme.id, left, [b"left"])
    age(carried, left)
    operation = carried.ask(request_sweep, "acme")
    carried.worker_killed_at("files.sweep:after")
    carried.fleet.settle()
    assert carried.outcome(operation).state == "succeeded"
    assert carried.storage.sizes(carried.acme.id).keys() == set(carried.ids)


def test_without_a_storage_nothing_is_swept(carried: Carried) -> None:
    carried.fleet.settings = replace(carried.fleet.settings, files_storage=None)
    carried.fleet.services = carried.fleet.under(carried.fleet.settings)
    with pytest.raises(OperationRefused, match=r"files\.storage is not set"):
        sweep(carried)
    # What is listed is copied without its content, and the result says so.
    assert carried.done(clone(carried)).result["files_missing"] == 2
