"""Places for the processes of a machine that count together: each takes the lowest one that no living process has.

A place is the lock of a file, which the system lets go when the process ends, however it ends. So a process that is
started anew goes on in the place of one that has ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO, Final

LOCK: Final = "slot_{}.lock"
GATE: Final = "slots.lock"


def make_own_directory(directory: Path) -> None:
    """Make a directory if it is missing. Raises ``OSError``, also if it belongs to somebody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
        raise PermissionError(0, "the directory belongs to somebody else", str(directory))


@contextmanager
def starting(directory: Path) -> Iterator[None]:
    """Keep out other processes that start, so that none takes a slot while another one looks which are taken."""
    with (directory / GATE).open("ab") as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield


def take_slot(directory: Path) -> tuple[int, IO[bytes]]:
    """Return the number of the lowest free slot, and the file whose lock is the slot until it is closed.

    Call it within ``starting``.
    """
    return next(_free_slots(directory))


def slot_locks(directory: Path) -> dict[int, Path]:
    """Return the locks of all slots that were ever taken, by their numbers."""
    return {int(path.stem.removeprefix("slot_")): path for path in directory.glob(LOCK.format("*"))}


@contextmanager
def slot_ended(path: Path) -> Iterator[bool]:
    """Yield whether no process has the slot of this lock. None takes it until the block ends."""
    with path.open("ab") as file:
        yield _lock(file)


def is_alone(directory: Path, slot: int) -> bool:
    """Return whether no other process has a slot."""
    for number, path in slot_locks(directory).items():
        with slot_ended(path) as ended:
            if number != slot and not ended:
                return False
    return True


def _free_slots(directory: Path) -> Iterator[tuple[int, IO[bytes]]]:
    for number in count():
        file = (directory / LOCK.format(number)).open("ab")
        if _lock(file):
            yield number, file
        else:
            file.close()


def _lock(file: IO[bytes]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
