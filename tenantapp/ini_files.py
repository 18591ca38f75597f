"""Find the loader of an ini file."""

from pathlib import Path
from typing import Any, Final

import plaster

LOADER: Final = "plaster-pastedeploy+file+ini"


def ini_loader(path: str | Path) -> Any:
    """Return plaster's loader of a configuration file. Naming it saves plaster a search of all installed packages."""
    path = Path(path)
    uri = plaster.PlasterURL(LOADER, str(path.absolute())) if path.suffix == ".ini" else str(path)
    return plaster.get_loader(uri, protocols=["wsgi"])
