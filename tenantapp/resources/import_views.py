"""Import rows over HTTP: a CSV file is received whole, and then added in one transaction."""

import hashlib
import logging
from collections.abc import Callable
from tempfile import SpooledTemporaryFile
from typing import Any, Final, Self

from pydantic import Field

from tenantapp.answers import Answer
from tenantapp.api.problems import ApiError, Problems
from tenantapp.api.query import NoQuery
from tenantapp.api.streamed import StreamedBody, pieces_of
from tenantapp.resources.declaration import Resource
from tenantapp.resources.exporting import CSV
from tenantapp.resources.importing import IsRefusal, Limits, import_rows
from tenantapp.sql.errors import TransactionConflict
from tenantapp.tenancy.request import TenantRequest

log = logging.getLogger(__name__)
IN_MEMORY: Final = 512 * 1024  # bytes; a longer file goes to a temporary file


class ImportQuery(NoQuery):
    """With ``dry_run=true`` everything is checked, and nothing is kept."""

    dry_run: bool = False


class Imported(Answer):
    """How many rows a CSV file has added. With ``dry_run``, none is kept."""

    created: int
    dry_run: bool


class CsvBody(StreamedBody):
    """A CSV file, in a temporary file: while a client sends slowly, no transaction is open."""

    file: Any = Field(exclude=True)

    @classmethod
    def receive(cls, request: TenantRequest) -> Self:
        """Read the body. Raises ``ApiError``: 415 unless it is CSV in UTF-8, 413, 400, and 503 on a full disk."""
        if request.content_type != CSV or (request.charset or "utf-8").lower() not in ("utf-8", "utf8"):
            sentence = "Send the file as CSV in UTF-8, with Content-Type: text/csv."
            raise ApiError(415, "unsupported_media_type", sentence)
        file = SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115
        request.add_finished_callback(lambda request: file.close())
        digest = hashlib.sha256()
        for piece in pieces_of(request, request.registry.app_settings.api_import_max_body):
            digest.update(piece)
            _keep(piece, file)
        file.seek(0)
        return cls(digest=digest.hexdigest(), file=file)


def _keep(piece: bytes, file: Any) -> None:
    try:
        file.write(piece)
    except OSError as error:
        log.warning("There is no room for a CSV file: %s", error.strerror)
        raise ApiError(503, "busy", "The server has no room for the file now. Try again later.") from error


def import_view(resource: Resource[Any]) -> Callable[[TenantRequest], dict[str, Any]]:
    """Return the view that adds the rows of a CSV file."""

    def import_file(request: TenantRequest) -> dict[str, Any]:
        settings = request.registry.app_settings
        limits = Limits(settings.api_import_rows, settings.api_import_seconds)
        created = import_rows(
            *(resource, request.tenant_session, request.access, request.checked_body.file, limits),
            is_refusal=_refusal(request.registry.problems),
        )
        dry_run = request.checked_query.dry_run
        if dry_run:
            request.tm.doom()
        return {"created": created, "dry_run": dry_run}

    import_file.__doc__ = (
        f"Add the rows of a CSV file to {resource.name}: all, or none if a line is wrong.\n\n"
        "The body is the file, in UTF-8, of the type `text/csv`. Its first line names fields of the body of `POST`."
    )
    return import_file


def _refusal(problems: Problems) -> IsRefusal:
    """Return the function that says which exceptions of hooks are about one row, and no failure of the whole."""

    def is_refusal(error: Exception) -> bool:
        if isinstance(error, TransactionConflict):
            return False
        if isinstance(error, ApiError):
            return error.status < 500
        problem = problems.of(error)
        return problem is not None and problem.status < 500

    return is_refusal
