"""Requests that may be sent again: ``Idempotency-Key``.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

import hashlib
import re
from datetime import timedelta
from typing import Any, Final

from pyramid.response import Response

from tenantapp.api.batch import Batch
from tenantapp.api.problems import ApiError
from tenantapp.api.streamed import StreamedBody
from tenantapp.api.views import View
from tenantapp.tenancy.kept_answers import KeptAnswer, KeyOfPerson, find_answer, keep_answer
from tenantapp.tenancy.request import SAFE_METHODS, TenantRequest

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotency-Replayed"
# The draft has a string of RFC 8941, in quotes. Most clients send it without.
KEY: Final = re.compile(r'"(?P<quoted>[ !#-\[\]-~]{1,255})"|(?P<bare>[!#-~][ !#-~]{0,254})')
# What describes the answer and its body. All other headers belong to one response.
KEPT_HEADERS: Final = ("Content-Type", "Location", "ETag", "Cache-Control")


def idempotent_view(view: View, info: Any) -> View:
    """Carry out a request with an idempotency key once, and repeat its answer after that (a view deriver).

    It concerns the unsafe methods of API views. A failed request keeps nothing, so it can be tried again.
    """
    if info.options.get("api_query") is None:
        return view

    def idempotent(context: Any, request: TenantRequest) -> Any:
        if "HTTP_IDEMPOTENCY_KEY" not in request.environ or _only_reads(request):
            return view(context, request)
        key = _key_of(request)
        kept_for = timedelta(hours=request.registry.app_settings.idempotency_keep)
        session = request.tenant_session
        answer = find_answer(session, key, kept_for)
        if answer is not None:
            return _repeated(answer)
        response = view(context, request)
        if response.status_int < 400:
            keep_answer(session, key, _kept(request, response), kept_for)
        return response

    return idempotent


def _only_reads(request: TenantRequest) -> bool:
    body = request.checked_body
    return request.method in SAFE_METHODS or (isinstance(body, Batch) and body.only_reads)


def _key_of(request: TenantRequest) -> KeyOfPerson:
    """Return the key of the request. It counts only for the same permissions: others may see less of the answer."""
    match = KEY.fullmatch(request.headers[HEADER])
    if match is None:
        detail = f"{HEADER} has 1 to 255 printable ASCII characters, such as those of a UUID."
        raise ApiError(400, "invalid_idempotency_key", detail)
    if request.writes != "tenant":
        raise ApiError(
            400, "idempotency_unsupported", f"This request takes no {HEADER}: it does not write to a tenant."
        )
    address = f"{request.method} {request.environ['PATH_INFO']}?{request.environ.get('QUERY_STRING', '')}\n"
    body = request.checked_body
    sent = f"{request.content_type} {body.digest}".encode() if isinstance(body, StreamedBody) else request.body
    digest = hashlib.sha256(address.encode("latin-1") + sent)
    access = request.access
    digest.update(" ".join(sorted(access.permissions)).encode())
    key = match["quoted"] or match["bare"]
    return KeyOfPerson(access.require_tenant().id, access.person.id, key, digest.hexdigest())


def _kept(request: TenantRequest, response: Response) -> KeptAnswer:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    body: bytes = response.body
    fits = len(body) <= request.registry.app_settings.idempotency_max_answer
    return KeptAnswer(response.status_int, headers, body if fits else None)


def _repeated(answer: KeptAnswer) -> Response:
    if answer.body is None:
        detail = "This request was carried out. Its answer was too large to keep."
        raise ApiError(409, "answer_not_kept", detail)
    response = Response(answer.body, status=answer.status)
    response.headers.update({**answer.headers, REPLAYED: "true"})
    if "Content-Type" not in answer.headers:
        del response.content_type
    return response
