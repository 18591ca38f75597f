"""How does the page reach a browser, and what do browsers do only if we permit it?"""

from pathlib import Path
from typing import TYPE_CHECKING

from tenantapp.web.files import read_page

if TYPE_CHECKING:
    from pyramid.config import Configurator

PACKAGED = Path(__file__).parent / "dist"
"""Where the build puts the page, so that an installed tenantapp has it in the package."""
NO_PAGE = "none"


def includeme(config: "Configurator") -> None:
    """Put ``page`` on the registry, add the routes of page and components, and the security headers of all answers."""
    directory = config.registry.app_settings.web_directory
    if directory == NO_PAGE:
        config.registry.page = None
    else:
        config.registry.page = read_page(PACKAGED if directory is None else Path(directory))
    config.include("tenantapp.web.page_views")
    config.include("tenantapp.web.component_views")
    config.include("tenantapp.web.security_headers")
