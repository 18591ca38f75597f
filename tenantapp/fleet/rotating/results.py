"""What a rotation has changed."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many things of one sort were changed in one place. ``error`` says why it could not go on there."""

    what: str
    where: str
    changed: int
    error: str | None = None
