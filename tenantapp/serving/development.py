"""The development server: waitress, and what runs beside it, such as the workers of ``fleet.worker``."""

from typing import Any

from waitress import serve_paste

from tenantapp.private_files import keep_files_private
from tenantapp.serving.servers import make_server


def serve(app: Any, global_config: Any, **options: Any) -> int:
    """Serve the application. This is a server runner for PasteDeploy.

    The options are waitress's, but for ``unix_socket``. The threads start here because the application does not know
    whether it is served or only used by a command. If the ini file wraps a filter around the application, its threads
    start with the first request.
    """
    keep_files_private()
    registry = getattr(app, "registry", None)
    if registry is not None:
        registry.serving_threads.start()
    status: int = serve_paste(app, global_config, _server=make_server, **options)
    return status
