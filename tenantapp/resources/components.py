"""Find a builder's own component of a page: a JavaScript module in a directory of their package."""

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

EXAMPLE: Final = "bookshop:page/shelf.js"
# In a directory of its own, because the files beside it are public. No part begins with a dot.
SPEC: Final = re.compile(r"([A-Za-z_][\w.]*):((?:[\w-][\w.-]*/)+)([\w-][\w.-]*\.m?js)", re.ASCII)


class ComponentMissing(ValueError):
    """An asset spec names no module. The message says why, as the end of a sentence."""


@dataclass(frozen=True)
class Component:
    """A module, and the directory that has it. ``place`` is the package and the directory in it: ``bookshop/page``."""

    place: str
    directory: Path
    name: str


def find_component(spec: str) -> Component:
    """Return the component that an asset spec names. Raises ``ComponentMissing``."""
    match = SPEC.fullmatch(spec)
    if match is None:
        raise ComponentMissing(
            f"its component has to be PACKAGE:DIRECTORY/FILE.js, such as {EXAMPLE}, and not {spec!r}"
        )
    package, directory, name = match.groups()
    places = _directories(package)
    if not places:
        raise ComponentMissing(f"there is no package {package}, which its component {spec} is in")
    for place in places:
        if (place / directory / name).is_file():
            return Component(f"{package}/{directory.rstrip('/')}", place / directory, name)
    raise ComponentMissing(f"there is no file {places[0] / directory / name}, which its component {spec} names")


def _directories(package: str) -> list[Path]:
    try:
        found = find_spec(package)
    except (ImportError, ValueError):  # a package around it is missing, or it is the program itself
        return []
    return [] if found is None else [Path(place) for place in found.submodule_search_locations or ()]
