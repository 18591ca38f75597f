"""Where things lie in ``backups.ship``, and what is noted there beside the pages."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from tenantapp.databases.servers.durable_files import sync
from tenantapp.fleet.archives.shipped_pages import DIGEST, HASH, PART, Content, shipped_contents, shipped_files
from tenantapp.operations.checkpoints import checkpoint
from tenantapp.settings import Settings

SERVERS: Final = "servers"
USER_DATABASE: Final = "user"
NOTED: Final = "pages"  # the file with the hashes of the pages of what was shipped last
ROUND: Final = "round"  # the file that says when the last round began, and what failed in it

Signature = list[int]


@dataclass(frozen=True, slots=True)
class Noted:
    """What was shipped last: the file and its checksum, and how many bytes its base has, and those after the base.

    ``signature`` is that of the files of the database then, or empty if they were still being written to.
    """

    name: str
    sha256: str
    base_size: int
    added: int
    signature: Signature
    hashes: tuple[bytes, ...] = ()


def archive_directory(settings: Settings) -> Path:
    """Return ``backups.ship``. Raises ``FileNotFoundError`` if it is not there: perhaps a disk is not mounted."""
    directory = Path(str(settings.backups_ship))
    if not directory.is_dir():
        raise FileNotFoundError(f"the directory {directory} of backups.ship is not there")
    return directory


def server_directory(root: Path, server: str) -> Path:
    """Return the directory with those of the tenants' databases on a server."""
    return root / SERVERS / server


def directory_of(root: Path, server: str, database: str) -> Path:
    """Return the directory of what was shipped of a tenant's database."""
    return server_directory(root, server) / database


def directory_of_people(root: Path) -> Path:
    """Return the directory of what was shipped of the user database."""
    return root / USER_DATABASE


def directories(root: Path) -> Iterator[Path]:
    """Yield the directories of all databases of which something was shipped."""
    if (people := directory_of_people(root)).is_dir():
        yield people
    yield from root.glob(f"{SERVERS}/*/*/")


@dataclass(frozen=True, slots=True)
class LastRound:
    """When the last round began, or None if there was none, and the directories of the databases that failed."""

    begun: datetime | None = None
    failed: frozenset[str] = frozenset()


def last_round(root: Path) -> LastRound:
    """Return what is known of the last round."""
    try:
        values = json.loads((root / ROUND).read_bytes())
        return LastRound(datetime.fromisoformat(values["begun"]), frozenset(values["failed"]))
    except (OSError, ValueError, KeyError, TypeError):
        return LastRound()


def seen_until(root: Path, directory: Path) -> datetime | None:
    """Return when a database was last looked at: what had been written to it by then is shipped. None if not known."""
    last = last_round(root)
    return None if str(directory.relative_to(root)) in last.failed else last.begun


def shipped_of(root: Path, directory: Path) -> list[Content]:
    """Return what was shipped of the database of a directory, the oldest first. Raises as ``shipped_contents``."""
    return shipped_contents(directory, seen_until(root, directory))


def write_round(root: Path, begun: datetime, failed: dict[str, str]) -> None:
    """Note what a round did. Raises ``OSError``."""
    write_atomically(root / ROUND, json.dumps({"begun": begun.isoformat(), "failed": failed}).encode())


def read_noted(directory: Path) -> Noted | None:
    """Return what was noted, or None if nothing was, or if it is not of the newest file."""
    try:
        content = (directory / NOTED).read_bytes()
    except OSError:
        return None
    body, digest = content[:-DIGEST], content[-DIGEST:]
    names = shipped_files(directory)
    if hashlib.sha256(body).digest() != digest:
        return None
    line, _, hashes = body.partition(b"\n")
    try:
        values: dict[str, Any] = json.loads(line)
        noted = Noted(**values, hashes=tuple(hashes[at : at + HASH] for at in range(0, len(hashes), HASH)))
    except (ValueError, TypeError):  # of another version of the program
        return None
    return noted if names and names[-1] == noted.name else None


@checkpoint("ship.note")
def write_noted(directory: Path, noted: Noted) -> None:
    """Note what was shipped last. Raises ``OSError``."""
    values = {name: value for name, value in asdict(noted).items() if name != "hashes"}
    body = json.dumps(values).encode() + b"\n" + b"".join(noted.hashes)
    write_atomically(directory / NOTED, body + hashlib.sha256(body).digest())


def write_atomically(file: Path, content: bytes) -> None:
    """Write a file, which then has the old content or the new one. Raises ``OSError``."""
    part = file.with_name(file.name + PART)
    try:
        part.write_bytes(content)
        sync(part)
        part.replace(file)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
