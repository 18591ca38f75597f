"""What the tests of a domain check of each answer: that the document has it."""

from typing import Any

import pytest
from webob import Response

from tenantapp.testing import Documented, NotDocumented
from tests.installation import Client, Installation


@pytest.fixture
def checked(installation: Installation) -> Documented:
    return Documented(installation.app)


def answered(answer: Any, **changes: Any) -> Response:
    """The answer with some attributes changed; a header that is None is left out."""
    made = Response(answer.body, status=answer.status_int, headerlist=list(answer.headers.items()))
    for name, value in changes.items():
        if name in ("status", "body", "content_type"):
            setattr(made, name, value)
        elif value is None:
            del made.headers[name.replace("_", "-")]
        else:
            made.headers[name.replace("_", "-")] = value
    return made


def test_an_answer_that_the_document_has_not_is_named(client: Client, checked: Documented) -> None:
    bob = client.sign_in("bob")
    made = bob.post("/nodes", {"title": "x"})
    path = f"/api/v1/nodes/{made.json['id']}"
    node, missing, page = bob.get(path[7:]), bob.get("/nodes/x"), bob.get("/nodes")
    in_part = bob.get("/nodes?_fields=id,title")
    deleted = answered(made, status=204, body=b"", ETag=None, Location=None)
    checked.check("DELETE", path, deleted)
    checked.check("GET", "/no/operation", Response(status=418))
    checked.check("GET", "/api/v1/t/acme/nodes?_fields=id,title", in_part)
    for method, where, wrong, reason in (
        ("GET", path, answered(node, status=201), "201, not 200"),
        ("GET", path, answered(node, ETag=None), "headers none, declared ETag"),
        ("GET", path, answered(node, Location="/"), "headers ETag, Location, declared ETag"),
        ("GET", path, answered(node, X_Request_ID=None), "no X-Request-ID"),
        ("GET", path, answered(node, Link="/"), "not documented: Link"),
        ("GET", path, answered(node, X_Shelf="13"), "not documented: X-Shelf"),
        ("GET", path, answered(missing, ETag='"1"'), "not documented: ETag"),
        ("GET", path, answered(node, status=304, Link="/"), "not documented: Link"),
        ("GET", path, answered(node, content_type="text/plain"), "Content-Type text/plain"),
        ("GET", path, answered(node, body=node.body.replace(b'"body"', b'"text"')), "body"),
        ("GET", path, answered(node, body=node.body.replace(b'"draft"', b"null")), "status"),
        ("GET", path, answered(missing, status=422), "422 not_found"),
        ("GET", "/api/v1/nodes", answered(page, status=304), "304, and the view declares no ETag"),
        ("GET", "/api/v1/nodes", in_part, "Field required"),
        ("GET", "/api/v1/nodes?_fields=id", answered(in_part, body=in_part.body.replace(b'"x"', b"1")), "title"),
        ("DELETE", path, answered(deleted, body=b"{}"), "content, and the view declares none"),
    ):
        with pytest.raises(NotDocumented, match=reason):
            checked.check(method, where, wrong)
    checked.strict = False
    checked.check("GET", path, answered(node, X_Shelf="13"))  # by a tween of the builder's
    with pytest.raises(NotDocumented, match="not documented: Link"):
        checked.check("GET", path, answered(node, Link="/"))
