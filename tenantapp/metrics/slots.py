"""The files in which the processes of a machine count together.

prometheus_client adds up the files of all processes. By itself it names them by process, so that each reload leaves
files behind, and the answer takes longer and longer. Here a process takes the lowest slot that no living process has,
and goes on in the files of that slot. So there are never more than there were processes at once, and no count is lost.
https://prometheus.github.io/client_python/multiprocess/
"""

import json
import os
import struct
import sys
from pathlib import Path
from typing import Final

from prometheus_client import values
from prometheus_client.mmap_dict import _read_all_values

from tenantapp.process_slots import is_alone, make_own_directory, slot_ended, slot_locks, starting, take_slot

ENVIRONMENT: Final = "PROMETHEUS_MULTIPROC_DIR"  # in which prometheus_client looks for the directory
ALL: Final = "*"
HEAD: Final = 8  # bytes at the beginning of a file
PRESENT: Final = "gauge_live*"  # what processes say of their present, such as connections in use


class Slot:
    """The place of this process among those that count in a directory, until the process ends.

    A process has one. The first of all processes lets the counts begin anew.
    """

    def __init__(self, directory: Path) -> None:
        """Take the lowest free slot. The directory is made if it is missing.

        Raises ``OSError``, also if the directory belongs to somebody else.
        """
        make_own_directory(directory)
        self.directory = directory
        with starting(directory):
            self.number, self._lock = take_slot(directory)
            if is_alone(directory, self.number):
                _remove_ended(directory, ALL)
                _remove(directory, ALL, self.number)
            _remove(directory, PRESENT, self.number)
        _remove_damaged(directory, self.number)
        os.environ[ENVIRONMENT] = str(directory)
        values.ValueClass = values.MultiProcessValue(lambda: self.number)  # type: ignore[no-untyped-call]

    def touch(self) -> None:
        """Say that the lock is in use, to what removes old files from the directory for temporary files."""
        os.utime(self._lock.fileno())

    def forget_ended(self) -> None:
        """Forget what processes that have ended said of their present."""
        _remove_ended(self.directory, PRESENT)


def _remove_ended(directory: Path, kind: str) -> None:
    for number, path in slot_locks(directory).items():
        with slot_ended(path) as ended:
            if ended:
                _remove(directory, kind, number)


def _remove(directory: Path, kind: str, slot: int) -> None:
    for path in directory.glob(f"{kind}_{slot}.db"):
        path.unlink(missing_ok=True)


def _remove_damaged(directory: Path, slot: int) -> None:
    """Remove files of a slot that cannot be read: a machine that lost its power may leave half a file."""
    for path in directory.glob(f"{ALL}_{slot}.db"):
        if not _is_whole(path.read_bytes()):
            path.unlink(missing_ok=True)


def _is_whole(content: bytes) -> bool:
    """Return whether prometheus_client can go on in a file: it begins with the number of bytes that are in use."""
    if not content:
        return True
    used = int.from_bytes(content[:4], sys.byteorder, signed=True)
    if not (used == 0 or HEAD <= used <= len(content)):
        return False
    try:
        for key, *_ in _read_all_values(content, used):  # type: ignore[no-untyped-call]
            json.loads(key)
    except (RuntimeError, ValueError, struct.error):
        return False
    return True
