"""Describe the application: make it as ``pserve`` does, without serving it."""

from pyramid.paster import get_app

from tenantapp.cli.failures import CommandFailed
from tenantapp.cli.installation import Installation
from tenantapp.configuration import read_configuration


def openapi_document(installation: Installation) -> bytes:
    """Return the OpenAPI document in JSON. Raises ``CommandFailed`` if the application does not start."""
    path = installation.ini.absolute()
    read_configuration(path)  # its errors are sentences
    try:
        application = get_app(str(path))
    except SystemExit as ended:
        if not isinstance(ended.code, str):
            raise  # the command was stopped
        raise CommandFailed(ended.code.removeprefix("tenantapp: ")) from None
    registry = application.registry
    try:
        document: bytes = registry.openapi.json
    finally:
        registry.user_db.dispose()
        registry.tenant_dbs.dispose()
    return document
