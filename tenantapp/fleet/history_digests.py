"""What a history makes, told apart by its revision and by the text of its migrations."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from tenantapp.fleet.histories import History, head_revision, script_directory, script_location
from tenantapp.settings import Settings

REMEMBERED: Final = 8
_places: Final[dict[str, set[Path]]] = {}  # by what is in the settings; to ask Alembic takes longer than to look there


class HistoryDigest(NamedTuple):
    """The newest revision, all there are, and a digest of the files."""

    head: str
    revisions: frozenset[str]
    digest: str


def history_digest(settings: Settings, history: History) -> HistoryDigest:
    """Read a history, or remember what was read if none of its files has changed since. Raises ``HistoryError``."""
    location = script_location(settings, history)
    if location not in _places:
        directory = script_directory(settings, history)
        _places[location] = {Path(directory.dir), *(Path(str(place)) for place in directory.version_locations or ())}
    files = sorted({file for place in _places[location] for file in place.rglob("*.py")})
    state = tuple((file, status.st_mtime_ns, status.st_size) for file in files for status in (file.stat(),))
    return _read(_Asked(settings, history, state))


class _Asked:
    """What a digest is remembered by: where the files are, their sizes and their times."""

    def __init__(self, settings: Settings, history: History, state: tuple[tuple[Path, int, int], ...]) -> None:
        self.settings, self.history, self.state = settings, history, state

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.state == other.state

    def __hash__(self) -> int:
        return hash(self.state)


@lru_cache(REMEMBERED)
def _read(asked: _Asked) -> HistoryDigest:
    head = head_revision(asked.settings, asked.history)
    revisions = frozenset(
        script.revision for script in script_directory(asked.settings, asked.history).walk_revisions()
    )
    digest = hashlib.sha256()
    for file, *_ in asked.state:
        digest.update(f"{file.name}\0".encode() + hashlib.sha256(file.read_bytes()).digest())
    return HistoryDigest(head, revisions, digest.hexdigest())
