"""What can clients ask, and what is answered?

The document is made from the views themselves: from the arguments of ``api_view``, the routes and the table of
problems. A view that is added is in the document.
"""

from typing import Any

from pyramid.config import Configurator
from pyramid.events import ApplicationCreated

from tenantapp.api.openapi.document import Document
from tenantapp.api.openapi.page import SCRIPT, STYLE
from tenantapp.api.openapi.problem_codes import problems_of


def includeme(config: Configurator) -> None:
    """Put ``openapi`` on the registry, which is made at its first use, and add the views of the document."""
    config.registry.openapi = Document(config.registry)
    config.add_subscriber(check_problems, ApplicationCreated)
    config.add_route("openapi", "/api/v1/openapi.json")
    config.add_route("api_docs", "/api/docs")
    config.add_route("api_docs_style", STYLE)
    config.add_route("api_docs_script", SCRIPT)
    config.scan("tenantapp.api.openapi.document_views")


def check_problems(event: Any) -> None:
    """Raise ``UnknownProblem`` if a view declares a problem that no error has."""
    registry = event.app.registry
    for operation in registry.openapi.operations:
        problems_of(operation, registry)
