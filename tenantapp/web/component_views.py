"""Serve builders' own components of the page: the scripts, styles and pictures in directories of their packages."""

import re
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Final

from pyramid.config import Configurator
from pyramid.httpexceptions import HTTPNotFound
from pyramid.response import Response
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.view import view_config

from tenantapp.tenancy.request import TenantRequest
from tenantapp.web.files import MEDIA_TYPES

COMPONENTS: Final = "components"
# What may be public. Python files and templates in the directory are not.
PUBLIC_TYPES: Final = MEDIA_TYPES | {
    ".avif": "image/avif",
    ".gif": "image/gif",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".json": "application/json",
    ".mjs": "text/javascript; charset=utf-8",
    ".png": "image/png",
    ".webp": "image/webp",
}
NAME: Final = re.compile(r"[\w-][\w.-]*", re.ASCII)
# Asked for again each time, and sent only if it has changed: a builder sees a change after a reload.
ASK_FIRST: Final = "no-cache"


def add_page_files(config: Configurator, place: str, directory: Path) -> str:
    """Serve a directory, and return its address: ``config._add_page_files("bookshop/page", directory)``.

    This is a configuration directive. All that the directory has of ``PUBLIC_TYPES`` can be read by everybody.
    """
    config.registry.page_files[place] = directory.resolve()
    return f"/{COMPONENTS}/{place}"


@view_config(route_name="page_components", request_method="GET", permission=NO_PERMISSION_REQUIRED)
def read_component_file(request: TenantRequest) -> Response:
    """Return a file of a builder's component, or 304 if the browser has it."""
    path = _find(request.registry.page_files, request.matchdict["path"].split("/"))
    if path is None:
        raise HTTPNotFound
    content = path.read_bytes()
    response = Response(content, etag=blake2b(content, digest_size=12).hexdigest(), conditional_response=True)
    response.headers["Content-Type"] = PUBLIC_TYPES[path.suffix]
    response.headers["Cache-Control"] = ASK_FIRST
    return response


def _find(directories: dict[str, Path], parts: Sequence[str]) -> Path | None:
    """Return the file of an address. A link that leads out of its directory leads nowhere."""
    if not all(NAME.fullmatch(part) for part in parts):
        return None
    for count in range(len(parts) - 1, 0, -1):
        directory = directories.get("/".join(parts[:count]))
        if directory is not None:
            path = directory.joinpath(*parts[count:])
            return path.resolve() if _is_public(path, directory) else None
    return None


def _is_public(path: Path, directory: Path) -> bool:
    try:
        path = path.resolve()
        return path.suffix in PUBLIC_TYPES and path.is_relative_to(directory) and path.is_file()
    except (OSError, RuntimeError):  # a name that no file can have, or links in a circle
        return False


def includeme(config: Configurator) -> None:
    """Add the directive ``_add_page_files``, and the route."""
    config.registry.page_files = {}
    config.add_directive("_add_page_files", add_page_files)
    config.add_route("page_components", f"/{COMPONENTS}/{{path:.+}}")
    config.scan(__name__)
