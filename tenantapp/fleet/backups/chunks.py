"""The content of files, piece by piece, and being told of it."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tenantapp.operations.kinds import Context

CHUNK: Final = 2**20  # bytes
Progress = Callable[[int], None]
"""Is told of each so many bytes."""


def chunks_of(file: Path) -> Iterator[bytes]:
    """The content of a file. Raises ``OSError``."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    """The same chunks, and ``progress`` is told of each."""
    for chunk in chunks:
        yield chunk
        progress(len(chunk))


def nobody(size: int) -> None:
    """Tell nobody."""


def told(context: Context, total: int) -> Progress:
    """Tells of a step's progress; ``total`` is how many bytes are expected, 0 when nobody knows."""
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        context.progress(min(done / total, 1.0) if total else 0.0, f"{done / 2**20:.0f} MiB")

    return progress
