"""Read files in chunks, and report the progress."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from tenantapp.operations.kinds import Context

CHUNK: Final = 2**20  # bytes
Progress = Callable[[int], None]
"""Called with the number of bytes of each chunk."""


def chunks_of(file: Path) -> Iterator[bytes]:
    """Yield the content of a file. Raises ``OSError``."""
    with file.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            yield chunk


def counted(chunks: Iterable[bytes], progress: Progress) -> Iterator[bytes]:
    """Yield the chunks, and call ``progress`` with the size of each."""
    for chunk in chunks:
        yield chunk
        progress(len(chunk))


def nobody(size: int) -> None:
    """Report nothing."""


def told(context: Context, total: int) -> Progress:
    """Return a function that reports a step's progress. ``total`` is the expected number of bytes, or 0 if unknown."""
    done = 0

    def progress(size: int) -> None:
        nonlocal done
        done += size
        context.progress(min(done / total, 1.0) if total else 0.0, f"{done / 2**20:.0f} MiB")

    return progress
