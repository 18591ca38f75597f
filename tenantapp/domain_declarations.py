"""What the domain declares in its ``includeme``, for programs that are not the web application.

Commands and workers make no application. Those that need the domain's declarations ask here, through
``Fleet.declared``. Only then Pyramid and the domain are imported.
"""

import logging
from collections.abc import Mapping
from typing import Any, Final

from tenantapp import without_garbage_collection
from tenantapp.settings import Settings, SettingsError

log = logging.getLogger(__name__)
TOOLBAR: Final = "pyramid_debugtoolbar"  # it declares nothing, and takes long to import


class DomainNotLoaded(SettingsError):
    """The domain cannot be loaded. The message is one sentence that names it and what was raised."""

    def __init__(self, package: str, error: Exception) -> None:
        said = str(error).strip().partition("\n")[0].rstrip(".")
        super().__init__(f"The domain {package} cannot be loaded ({type(error).__name__}: {said})")


def load_domain(settings: Settings) -> Any:
    """Return the registry of an application that serves nobody: it has what the domain declared.

    This takes about a second and opens no connection. Raises ``DomainNotLoaded`` for whatever the domain raises, and
    the ``SettingsError`` of a slip in a declaration.
    """
    with without_garbage_collection():
        # Imported here, because most commands need no application and should not import Pyramid.
        from tenantapp.application import include_all
        from tenantapp.identity.declared_rights import RightsConfigurator

        try:
            with RightsConfigurator(settings=_settings_of(settings.given)) as config:
                include_all(config, settings)
            config.commit()
        except SettingsError:
            raise
        except Exception as error:  # the domain is code of the builder
            log.error("The domain cannot be loaded.", exc_info=error)
            raise DomainNotLoaded(settings.tenantapp_domain, error) from error
    return config.registry


def _settings_of(given: Mapping[str, str]) -> dict[str, str]:
    includes = [name for name in given.get("pyramid.includes", "").split() if not name.startswith(TOOLBAR)]
    return {**given, "pyramid.includes": " ".join(includes)}
