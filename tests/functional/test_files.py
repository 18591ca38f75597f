"""Files over HTTP: upload, list, download, delete."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tenantapp.files.downloads import content_disposition
from tenantapp.files.storage import Storage, open_storage
from tests.installation import Client, Installation

CONTENT = bytes(range(256)) * 40


@pytest.fixture
def bob(client: Client) -> Client:
    """An author in acme."""
    return client.sign_in("bob", "acme")


def stored(installation: Installation) -> dict[UUID, int]:
    """What lies in the storage for acme."""
    storage: Storage = open_storage(installation.registry.app_settings)
    return storage.sizes(tenant_id(installation, "acme"))


def tenant_id(installation: Installation, slug: str) -> UUID:
    with installation.registry.user_db.begin(read_only=True) as session:
        from tenantapp.identity.tenants import get_tenant

        return get_tenant(session, slug).id


def test_a_file_is_uploaded_listed_read_and_deleted(installation: Installation, bob: Client) -> None:
    before = stored(installation)
    made = bob.upload("Łódź résumé.pdf", CONTENT, "Application/PDF; version=1")
    assert made.status_int == 201
    assert made.headers["Location"].endswith(f"/api/v1/files/{made.json['id']}")
    assert made.json["created_by"]["name"] == "Bob"
    assert {name: made.json[name] for name in ("name", "media_type", "size", "sha256")} == {
        "name": "Łódź résumé.pdf",
        "media_type": "application/pdf",
        "size": len(CONTENT),
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
    }
    path = f"/files/{made.json['id']}"
    assert bob.get(path).json == bob.get("/files").json["items"][0] == made.json
    answer = bob.get(f"{path}/content")
    assert answer.body == CONTENT
    assert stored(installation).keys() - before.keys() == {UUID(made.json["id"])}
    assert bob.delete(path).status_int == 204
    assert stored(installation).keys() == before.keys()
    for gone in (bob.get(path), bob.get(f"{path}/content"), bob.delete(path)):
        assert (gone.status_int, gone.json["code"]) == (404, "not_found")


def test_a_download_cannot_become_a_page_of_ours(bob: Client) -> None:
    made = bob.upload("x.html", b"<script>alert(1)</script>", "text/html")
    answer = bob.get(f"/files/{made.json['id']}/content")
    assert made.json["media_type"] == "text/html"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"x.html\"; filename*=UTF-8''x.html"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox; frame-ancestors 'none'"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert answer.headers["Cache-Control"] == "private, no-cache, no-transform"


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd", "..", ".", "a/b", "a\\b", "/etc/passwd", "C:\\x", "", " ", "\u200b",
        "a\nb", "a\rSet-Cookie: x=y", "a\x00b", "a\x1bb", "a\u2028b", "invoice\u202egnp.exe", "x" * 201, "x" * 300,
    ],
)  # fmt: skip
def test_a_name_that_is_no_name_is_refused(installation: Installation, bob: Client, name: str) -> None:
    before = stored(installation)
    refused = bob.upload(name, b"x")
    assert (refused.status_int, refused.json["code"]) == (400, "invalid_query"), refused.text
    assert stored(installation) == before


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ('a";x="b.pdf', "attachment; filename=\"a__x=_b.pdf\"; filename*=UTF-8''a%22%3Bx%3D%22b.pdf"),
        ("50%41.txt", "attachment; filename=\"50_41.txt\"; filename*=UTF-8''50%2541.txt"),
        ("€ & 'q'.csv", "attachment; filename=\"_ & 'q'.csv\"; filename*=UTF-8''%E2%82%AC%20&%20%27q%27.csv"),
        (".htaccess", "attachment; filename=\".htaccess\"; filename*=UTF-8''.htaccess"),
    ],
)
def test_a_name_cannot_leave_its_header(bob: Client, name: str, expected: str) -> None:
    assert content_disposition(name) == expected
    made = bob.upload(name, b"x")
    answer = bob.get(f"/files/{made.json['id']}/content")
    assert (made.json["name"], answer.headers["Content-Disposition"]) == (name, expected)


def test_a_call_without_a_name_is_refused(bob: Client) -> None:
    answer = bob.http.post(
        "/api/v1/files", params=b"x", headers={"X-CSRF-Token": bob.csrf_token}, content_type="text/plain", status=400
    )
    assert answer.json["code"] == "invalid_query"


def test_a_file_is_bounded_and_of_a_permitted_type(make_installation: Any, tmp_path: Path) -> None:
    settings = {"files.max_size": "2000000", "files.types": "image/* text/plain", "files.storage": str(tmp_path)}
    settings["files.most_bytes"] = "2000014"
    with make_installation(**settings) as installation:
        bob = Client(installation.app).sign_in("bob", "acme")
        assert bob.upload("a.txt", b"x" * 2_000_000).status_int == 201
        large = bob.upload("a.txt", b"x" * 2_000_001)
        assert (large.status_int, large.json["code"]) == (413, "body_too_large")
        for name, type_, status in (
            ("a.png", "image/png", 201),
            ("a.png", "", 201),
            ("a.txt", "TEXT/plain; charset=latin-1", 201),
            ("a.svg", "image/svg+xml", 201),
            ("a.html", "text/html", 415),
            ("a.html", "", 415),
            ("a.txt", "nonsense", 415),
            ("a.txt", "text/plain\x7f", 415),
        ):
            answer = bob.upload(name, b"x", type_)
            assert answer.status_int == status, (name, type_)
            assert status == 201 or answer.json["code"] == "unsupported_media_type"
        squeezed = bob.upload("a.txt", b"x", Content_Encoding="gzip")
        assert (squeezed.status_int, squeezed.json["code"]) == (415, "unsupported_encoding")
        assert bob.get("/files/usage").json == {"files": 5, "bytes": 2_000_004, "most_bytes": 2_000_014}
        # Exactly three of these fit, whoever comes first.
        people = [Client(installation.app).sign_in("bob", "acme") for _ in range(6)]
        with ThreadPoolExecutor(len(people)) as pool:
            answers = list(pool.map(lambda person: person.upload("b.txt", b"xyz"), people))
        refused = [answer for answer in answers if answer.status_int != 201]
        assert [(answer.status_int, answer.json["code"]) for answer in refused] == [(409, "files_full")] * 3
        for _ in range(2):  # sent again, it is there already
            assert bob.upload("c.txt", b"x", Idempotency_Key="last").status_int == 201
        full = bob.upload("c.txt", b"x")
        assert (full.json["code"], full.json["bytes"], full.json["most_bytes"]) == ("files_full", 2_000_014, 2_000_014)
        unknown = bob.http.post(
            "/api/v1/files?name=d.txt",
            headers={"X-CSRF-Token": bob.csrf_token, "Content-Type": "text/plain"},
            params=b"xyz",
            extra_environ={"CONTENT_LENGTH": "", "wsgi.input_terminated": True},
            expect_errors=True,
        )
        assert unknown.json["code"] == "files_full"
        directory = tmp_path / tenant_id(installation, "acme").hex
        assert {file.name for file in directory.iterdir()} == {
            UUID(item["id"]).hex for item in bob.get("/files").json["items"]
        }
        assert {path.stat().st_size for path in directory.iterdir()} == {2_000_000, 1, 3}


def test_the_type_is_guessed_from_the_name_if_none_is_said(bob: Client) -> None:
    named = {name: bob.upload(name, b"").json["media_type"] for name in ("a.PDF", "b.csv", "c.unheard", "d", "data:x")}
    assert named == {
        "a.PDF": "application/pdf",
        "b.csv": "text/csv",
        "c.unheard": "application/octet-stream",
        "d": "application/octet-stream",
        "data:x": "application/octet-stream",
    }


RANGES = [
    ("bytes=0-0", (0, 0)),
    ("bytes=5-9", (5, 9)),
    ("bytes=10200-", (10200, 10239)),
    ("bytes=10000-99999", (10000, 10239)),
    ("bytes=-40", (10200, 10239)),
    ("bytes=-99999", (0, 10239)),
    ("Bytes=1-1", (1, 1)),
    # Ignored: several ranges, no range, another unit.
    ("bytes=0-0,5-9", None),
    ("bytes=9-5", None),
    ("bytes=-", None),
    ("bytes=a-b", None),
    ("bytes=0-\u0661", None),
    ("lines=0-1", None),
    ("bytes=0-" + "9" * 5000, None),
]


@pytest.mark.parametrize(("asked", "expected"), RANGES, ids=[asked[:20] for asked, _ in RANGES])
def test_a_range_is_answered_or_ignored(bob: Client, asked: str, expected: tuple[int, int] | None) -> None:
    path = f"/files/{bob.upload('a', CONTENT).json['id']}/content"
    answer = bob.get(path, Range=asked.encode().decode("latin-1"))
    if expected is None:
        assert (answer.status_int, answer.body) == (200, CONTENT)
        assert "Content-Range" not in answer.headers
    else:
        first, last = expected
        assert (answer.status_int, answer.body) == (206, CONTENT[first : last + 1])
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(CONTENT)}"
        assert answer.content_length == last - first + 1


@pytest.mark.parametrize("asked", ["bytes=10240-", "bytes=99999-100000", "bytes=-0"])
def test_a_range_beyond_the_end_is_416(bob: Client, asked: str) -> None:
    path = f"/files/{bob.upload('a', CONTENT).json['id']}/content"
    answer = bob.get(path, Range=asked)
    assert (answer.status_int, answer.json["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["Content-Range"] == f"bytes */{len(CONTENT)}"
    empty = bob.get(f"/files/{bob.upload('b', b'').json['id']}/content", Range="bytes=0-")
    assert (empty.status_int, empty.headers["Content-Range"]) == (416, "bytes */0")


def test_conditions_decide_on_content_and_range(bob: Client) -> None:
    path = f"/files/{bob.upload('a', CONTENT).json['id']}/content"
    tag = bob.get(path).headers["ETag"]
    assert tag == f'"{hashlib.sha256(CONTENT).hexdigest()}"'
    for known in (tag, f'"x", W/{tag}', "*"):
        assert bob.get(path, If_None_Match=known).status_int == 304
    assert bob.get(path, If_Match='"x"').status_int == 412
    assert bob.get(path, If_Match=tag).status_int == 200
    assert bob.get(path, Range="bytes=0-3", If_Range=tag).status_int == 206
    # Section 13.1.5: a weak tag is no proof that the part is of this content.
    for other in ('"x"', f"W/{tag}", "Sun, 06 Nov 1994 08:49:37 GMT"):
        assert bob.get(path, Range="bytes=0-3", If_Range=other).status_int == 200


def test_head_has_the_headers_and_no_content(bob: Client) -> None:
    path = f"/api/v1/files/{bob.upload('a', CONTENT).json['id']}/content"
    got, answer = bob.http.get(path), bob.http.head(path)
    assert answer.body == b""
    assert (answer.content_length, answer.headers["ETag"]) == (len(CONTENT), got.headers["ETag"])
    part = bob.http.head(path, headers={"Range": "bytes=0-3"})
    assert (part.status_int, part.content_length) == (206, 4)


def test_the_list_is_read_page_by_page(bob: Client) -> None:
    made = [bob.upload(f"{number}.txt", b"x").json["id"] for number in range(5)]
    first = bob.get("/files?limit=3").json
    second = bob.get(f"/files?limit=3&cursor={first['next']}").json
    assert [item["id"] for item in first["items"] + second["items"]][:5] == made[::-1]
    assert bob.get("/files?cursor=x").status_int == 400


def test_who_may_do_what(installation: Installation, bob: Client) -> None:
    path = f"/files/{bob.upload('a', b'x').json['id']}"
    rita, both, ed = (Client(installation.app).sign_in(login, "acme") for login in ("rita", "both", "ed"))
    assert rita.get(f"{path}/content").body == b"x"
    for refused in (rita.upload("a", b"x"), rita.delete(path), both.delete(path)):
        assert (refused.status_int, refused.json["code"]) == (403, "permission_denied")
    assert bob.get(f"{path}/content").body == b"x"
    assert ed.delete(path).status_int == 204


def test_a_refused_upload_leaves_nothing(installation: Installation, bob: Client) -> None:
    before = stored(installation)
    nobody = Client(installation.app)
    assert nobody.upload("a", b"x").status_int == 401
    token, bob.csrf_token = bob.csrf_token, "wrong"
    assert bob.upload("a", b"x").json["code"] == "csrf_failed"
    bob.csrf_token = token
    assert bob.upload("a", b"x", X_Tenant="globex").json["code"] == "tenant_forbidden"
    # Text of a client that PostgreSQL and SQLite store, and no other client may read.
    assert stored(installation) == before


def test_no_tenant_reads_the_file_of_another(installation: Installation, bob: Client) -> None:
    path = f"/files/{bob.upload('a', b'of acme').json['id']}"
    gina, both = Client(installation.app).sign_in("gina", "globex"), Client(installation.app).sign_in("both", "globex")
    for other in (gina, both):
        assert other.get("/files").json["items"] == []
        for answer in (other.get(path), other.get(f"{path}/content"), other.delete(path)):
            assert (answer.status_int, answer.json["code"]) == (404, "not_found")
    assert both.get(f"{path}/content", X_Tenant="acme").body == b"of acme"
    assert gina.get(f"{path}/content", X_Tenant="acme").json["code"] == "tenant_forbidden"


def test_an_upload_with_a_key_is_carried_out_once(installation: Installation, bob: Client) -> None:
    before = stored(installation)
    first, again = (bob.upload("a.txt", CONTENT, "text/plain", Idempotency_Key="once") for _ in range(2))
    assert (first.status_int, again.status_int, again.json) == (201, 201, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert stored(installation).keys() - before.keys() == {UUID(first.json["id"])}
    for other in (("a.txt", CONTENT + b"x", "text/plain"), ("b.txt", CONTENT, "text/plain"), ("a.txt", CONTENT, "a/b")):
        refused = bob.upload(*other, Idempotency_Key="once")
        assert (refused.status_int, refused.json["code"]) == (422, "idempotency_mismatch")
    assert len(stored(installation)) == len(before) + 1


def test_bytes_that_are_not_there_are_503(installation: Installation, bob: Client) -> None:
    path = f"/files/{bob.upload('a', b'x').json['id']}"
    storage = open_storage(installation.registry.app_settings)
    storage.remove(tenant_id(installation, "acme"), UUID(path.rpartition("/")[2]))
    answer = bob.get(f"{path}/content")
    assert (answer.status_int, answer.json["code"]) == (503, "files_unavailable")
    assert bob.delete(path).status_int == 204


def test_without_a_storage_nothing_is_kept(make_installation: Any) -> None:
    with make_installation(**{"files.storage": "memory://files"}) as installation:
        bob = Client(installation.app).sign_in("bob", "acme")
        path = f"/files/{bob.upload('a', b'x').json['id']}"
        settings = installation.registry.app_settings
        object.__setattr__(settings, "files_storage", None)
        for refused in (bob.upload("a", b"x"), bob.get(f"{path}/content")):
            assert (refused.status_int, refused.json["code"]) == (409, "files_not_configured")
        assert len(bob.get("/files").json["items"]) == 1
