"""The kinds of operation there are."""

from typing import Final

from tenantapp.fleet.migrating.kind import MIGRATE
from tenantapp.fleet.operations.kinds import Kind, Kinds

ALL: Final[tuple[Kind, ...]] = (MIGRATE,)
KINDS: Final[Kinds] = {kind.name: kind for kind in ALL}
