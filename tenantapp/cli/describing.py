"""Ask the application what it has: make it as ``pserve`` does, without serving it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid.paster import get_app

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.configuration import read_configuration
from tenantapp.operations.outcomes import first_line

log = logging.getLogger(__name__)


@contextmanager
def made_application(installation: Installation) -> Iterator[Any]:
    """Yield the registry of the application. Raises ``CommandFailed`` if the application does not start."""
    path = installation.ini.absolute()
    read_configuration(path)  # its errors are sentences
    try:
        application = get_app(str(path))
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise  # the command was stopped
        raise CommandFailed(ended.code.removeprefix("tenantapp: ")) from None
    except Exception as error:  # whatever the domain's code raises
        log.error("The application does not start.", exc_info=error)
        raise CommandFailed(f"The application does not start ({type(error).__name__}: {first_line(error)})") from error
    registry = application.registry
    try:
        yield registry
    finally:
        registry.user_db.dispose()
        registry.tenant_dbs.dispose()


def openapi_document(installation: Installation) -> bytes:
    """Return the OpenAPI document in JSON. Raises ``CommandFailed`` if the application does not start."""
    with made_application(installation) as registry:
        document: bytes = registry.openapi.json
    return document


def add_declared_rights(installation: Installation) -> list[str]:
    """Add the roles and permissions that the domain declares, each once. Return what was done, in sentences.

    Raises ``CommandFailed`` if the application does not start.
    """
    from tenantapp.identity.declared_rights import apply_declared
    from tenantapp.settings import BUNDLED_DOMAIN

    if installation.settings.tenantapp_domain == BUNDLED_DOMAIN:
        return []  # it declares nothing, and making the application would take a second
    with made_application(installation) as registry:
        rights = registry.declared_rights
    with installation.user_session() as session:
        return apply_declared(session, rights)


def check_domain(installation: Installation) -> list[str]:
    """Return a sentence for each thing that the domain's developers should mend. Raises ``CommandFailed``."""
    from tenantapp.databases.histories.histories import history_digest
    from tenantapp.resources.indexes import missing_on_both

    missing = history_digest(installation.settings, "tenant").unnamed_tables
    with made_application(installation) as registry:
        found = missing_on_both(registry.resources.values())
    return [f"No revision of the tenant history makes the table {table} of tenantapp." for table in missing] + found
