"""The server of development: waitress, and beside it the worker that the setting ``fleet.worker`` asks for."""

from typing import Any

from waitress import serve_paste

from tenantapp.private_files import keep_files_private


def serve(app: Any, global_config: Any, **options: Any) -> int:
    """Serve the application (PasteDeploy's server runner). The options are waitress's.

    The application itself cannot know whether it is made to be served, or for a command that only looks at it. One
    that a filter of the ini file is wrapped around starts its worker with its first request.
    """
    keep_files_private()
    registry = getattr(app, "registry", None)
    if registry is not None:
        registry.worker_host.start()
    status: int = serve_paste(app, global_config, **options)
    return status
