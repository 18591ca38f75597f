"""Fill the templates of a package in. A name in a template is marked with two signs: ``@@package``."""

from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Final

TEMPLATES: Final = Path(__file__).parent / "templates"
SUFFIX: Final = ".tmpl"  # so that no tool takes a template for a source
# In the paths of templates, as their names cannot have the signs of a name on all systems.
PACKAGE: Final = "package"
DOTTED: Final = "gitignore"


class Marked(Template):
    """A template. Make and ini files are full of dollars and percents, so the mark is another one."""

    delimiter = "@@"


def fill(kind: str, target: Path, names: Mapping[str, str]) -> None:
    """Write the templates of one kind, such as ``starter``, into a directory. Raises ``KeyError`` for unknown names."""
    source = TEMPLATES / kind
    for template in sorted(source.rglob(f"*{SUFFIX}")):
        place = target / _renamed(template.relative_to(source), names["package"])
        place.parent.mkdir(parents=True, exist_ok=True)
        filled = Marked(template.read_text(encoding="utf-8")).substitute(names)
        place.write_text(filled, encoding="utf-8")


def _renamed(template: Path, package: str) -> Path:
    parts = [package if part == PACKAGE else part for part in template.parent.parts]
    name = template.name.removesuffix(SUFFIX).replace(f"_{PACKAGE}", f"_{package}")
    return Path(*parts, f".{name}" if name == DOTTED else name)
