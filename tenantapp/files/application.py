"""Files in the application: the routes, the upload with its own bound, and the errors."""

from functools import partial

from pyramid.config import Configurator

from tenantapp.api.views import ID, add_api_view
from tenantapp.files import errors, views
from tenantapp.files.removed import remove_bytes
from tenantapp.files.uploads import Upload
from tenantapp.identity.permissions import Permission
from tenantapp.tenancy.named_tenants import PREFIX


def includeme(config: Configurator) -> None:
    """Add the routes and the views, remove the bytes of deleted files, and map errors to status and code."""
    settings = config.registry.app_settings
    config.registry.tenant_dbs.on_file_removed = partial(remove_bytes, settings)
    config.add_problem(errors.FileInUse, 409, "in_use")
    config.add_problem(errors.FilesOff, 409, "files_not_configured")
    config.add_problem(errors.FilesFull, 409, "files_full", members=("bytes", "most_bytes"))
    config.add_problem(errors.FilesUnavailable, 503, "files_unavailable")
    config.add_route("files", f"{PREFIX}/files")
    config.add_route("files_usage", f"{PREFIX}/files/usage")
    config.add_route("file", f"{PREFIX}/files/{ID}")
    config.add_route("file_content", f"{PREFIX}/files/{ID}/content")
    add_api_view(
        config,
        views.upload_file,
        "files",
        "POST",
        permission=Permission.CONTENT_CREATE,
        query=views.UploadQuery,
        body=Upload,
        status=201,
        answer=views.File,
        headers=("Location",),
        problems=("files_not_configured", "files_unavailable", "files_full", "bad_request"),
        max_body=settings.files_max_size,
        in_batch=False,
    )
    config.scan("tenantapp.files.views")
