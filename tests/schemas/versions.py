"""The major versions of PostgreSQL on which ``make schemas`` runs."""

from typing import Final

PROMISED: Final = {16, 18}  # the package with which we test has them
WANTED: Final = PROMISED | {15}
