"""Conditional requests, as RFC 9110 (section 13) has them."""

import time
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import update

from tenantapp.api.conditions import Conditions
from tenantapp.identity.epochs import new_epoch
from tenantapp.identity.models import Tenant, User
from tests.installation import Client, Installation


@dataclass
class Edited:
    """A node at its second version, and the tags of both."""

    client: Client
    path: str
    first: str
    second: str

    def get(self, **headers: str) -> Any:
        return self.client.get(self.path, **headers)

    def put(self, **headers: str) -> int:
        status: int = self.client.put(self.path, {"title": "3"}, **headers).status_int
        return status


@pytest.fixture
def edited(installation: Installation) -> Edited:
    bob = Client(installation.app).sign_in("bob")
    made = bob.post("/nodes", {"title": "1"})
    path = f"/nodes/{made.json['id']}"
    changed = bob.patch(path, {"title": "2"}, If_Match=made.headers["ETag"])
    assert changed.status_int == 200
    return Edited(bob, path, made.headers["ETag"], changed.headers["ETag"])


def weak(tag: str) -> str:
    return f"W/{tag}"


def with_suffix(tag: str, suffix: str) -> str:
    return f'{tag[:-1]}{suffix}"'


def test_the_tag_is_opaque_and_the_version_alone_is_none(edited: Edited) -> None:
    assert edited.get().headers["ETag"] == edited.second != edited.first
    for version in ('"2"', "2", '"-2"', "*-2"):
        assert edited.put(If_Match=version) == 412
        assert edited.get(If_None_Match=version).status_int == 200


def test_a_change_of_another_version_is_refused(edited: Edited) -> None:
    answer = edited.client.patch(edited.path, {"title": "3"}, If_Match=edited.first)
    assert (answer.status_int, answer.json["code"]) == (412, "version_mismatch")
    assert answer.json["current"] == edited.get().json
    assert answer.headers["ETag"] == edited.second
    assert edited.client.delete(edited.path, If_Match=edited.first).status_int == 412
    assert edited.client.patch(edited.path, {"title": "3"}, If_Match=answer.headers["ETag"]).status_int == 200


def test_a_list_of_tags_has_empty_elements_and_any_character(edited: Edited) -> None:
    for others in (f'{edited.first}, "\xe4\u007e!#,;"', ', ,"a"', f",\t, {edited.first} ,,"):
        sent = f"{others}, {edited.second}".encode().decode("latin-1")
        assert edited.get(If_None_Match=sent).status_int == 304, others
        assert edited.get(If_None_Match=others.encode().decode("latin-1")).status_int == 200, others
        assert edited.get(If_Match=sent).status_int == 200, others


@pytest.mark.parametrize(
    "malformed", ["", "{0}x", "{0} {0}", '{0}, "', "* , *", "*, {0}", "w/{0}", "W/ {0}", '"a b", {0}', "{0};q=1"]
)
def test_a_malformed_header_matches_nothing(edited: Edited, malformed: str) -> None:
    header = malformed.format(edited.second)
    assert edited.get(If_None_Match=header).status_int == 200
    assert edited.get(If_Match=header).status_int == 412
    assert edited.put(If_Match=header) == 412
    assert edited.put(If_None_Match=header) == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_read_answers_its_conditions(edited: Edited, method: str) -> None:
    def read(**headers: str) -> Any:
        return edited.client.request(method, edited.path, **headers)

    for known in ("*", edited.second, weak(edited.second), f"{edited.first}, {edited.second}"):
        answer = read(If_None_Match=known)
        assert (answer.status_int, answer.body) == (304, b""), known
        assert answer.headers["ETag"] == edited.second
        assert answer.headers["Cache-Control"] == "private, no-cache, no-transform"
        assert answer.headers["X-Request-ID"]
        assert "Content-Type" not in answer.headers
    assert read(If_None_Match=edited.first).status_int == 200
    assert read(If_Match="*").status_int == read(If_Match=edited.second).status_int == 200
    refused = read(If_Match=edited.first)
    assert (refused.status_int, refused.headers["ETag"]) == (412, edited.second)
    # If-Match comes first (section 13.2.2).
    assert read(If_Match=edited.first, If_None_Match=edited.second).status_int == 412
    assert read(If_Match=edited.second, If_None_Match=edited.second).status_int == 304


def test_a_change_answers_both_conditions(edited: Edited) -> None:
    for known in ("*", edited.second, weak(edited.second), f"{edited.first}, {edited.second}"):
        assert edited.put(If_None_Match=known) == 412, known
    assert edited.put(If_Match=edited.second, If_None_Match=edited.second) == 412
    assert edited.put(If_Match=f"{edited.first}, {edited.second}", If_None_Match=edited.first) == 200
    assert edited.put(If_Match="*") == 200


@pytest.mark.parametrize("suffix", ["-gzip", "-br", "--gzip"])
def test_a_tag_that_a_proxy_has_altered_is_ours(edited: Edited, suffix: str) -> None:
    for altered in (weak(edited.second), with_suffix(edited.second, suffix), weak(with_suffix(edited.second, suffix))):
        assert edited.get(If_Match=altered).status_int == 200
        assert edited.get(If_None_Match=altered).status_int == 304
    assert edited.put(If_Match=weak(edited.first)) == 412
    assert edited.put(If_Match=weak(with_suffix(edited.second, suffix))) == 200


def test_dates_and_ranges_are_ignored(edited: Edited) -> None:
    past, future = "Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"
    assert edited.get(If_Modified_Since=future).status_int == 200
    assert edited.get(Range="bytes=0-1", If_Range=edited.second).status_int == 200
    assert edited.put(If_Unmodified_Since=past) == 200


def test_the_tag_of_another_epoch_is_unknown(edited: Edited, installation: Installation) -> None:
    """The version and the row are the same; only the operator has said that the content may have gone back."""
    with installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(epoch=new_epoch()))
    answer = edited.get(If_None_Match=edited.second)
    assert (answer.status_int, answer.json["version"]) == (200, 2)
    assert edited.put(If_Match=edited.second) == 412
    assert edited.put(If_Match=answer.headers["ETag"]) == 200


def test_a_tenant_that_an_older_program_made_has_tags_of_its_own(installation: Installation) -> None:
    with installation.registry.user_db.begin() as session:
        session.execute(update(Tenant).values(epoch=None))
    tags = set()
    for tenant in ("acme", "globex"):
        both = Client(installation.app).sign_in("both", tenant)
        tags.add(both.post("/nodes", {"title": "1"}).headers["ETag"])
    assert len(tags) == 2


def test_a_list_has_no_tag(edited: Edited) -> None:
    answer = edited.client.get("/nodes", If_None_Match="*", If_Match=edited.first)
    assert answer.status_int == 200
    assert "ETag" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"


def test_what_is_not_there_can_be_made_but_not_changed() -> None:
    """The version of a resource that does not exist is None."""
    only_new = Conditions("e", None, " * ")
    assert only_new.only_new
    assert only_new.permit(None)
    assert not only_new.permit(1)
    assert not Conditions("e", "*", None).permit(None)
    assert Conditions("e", None, '"e-1"').permit(None)
    assert not Conditions("e", None, '"e-1"').only_new


def test_a_long_header_takes_no_longer_than_its_length() -> None:
    for header in ('"a"' + " ," * 100_000 + " x", '"a" ' * 50_000, 'W/"' * 60_000, " " * 200_000 + "*x"):
        began = time.perf_counter()
        assert not Conditions("e", header, None).permit(1)
        assert time.perf_counter() - began < 1


class TestWhatOthersChange:
    """The name of the owner is shown with a node, and changes without it."""

    @pytest.fixture
    def renamed(self, edited: Edited, installation: Installation) -> Edited:
        """The node, whose owner has got another name since its tags were sent."""
        with installation.registry.user_db.begin() as session:
            session.execute(update(User).where(User.login == "bob").values(name="Robert"))
        edited.client.post("/nodes", {"title": "the first under the new name"})
        return edited

    def test_the_tag_is_another_one(self, renamed: Edited) -> None:
        answer = renamed.get(If_None_Match=renamed.second)
        assert (answer.status_int, answer.json["owner"]["name"], answer.json["version"]) == (200, "Robert", 2)
        tag = answer.headers["ETag"]
        assert tag != renamed.second
        assert renamed.get(If_None_Match=tag).status_int == renamed.get(If_None_Match=weak(tag)).status_int == 304
        assert renamed.get(If_Match=tag).status_int == 200
        refused = renamed.get(If_Match=renamed.second)
        assert (refused.status_int, refused.headers["ETag"]) == (412, tag)

    def test_changes_are_of_the_same_version(self, renamed: Edited) -> None:
        tag = renamed.get().headers["ETag"]
        refused = renamed.client.patch(renamed.path, {"title": "3"}, If_Match=renamed.first)
        assert (refused.status_int, refused.headers["ETag"]) == (412, tag)
        assert renamed.client.patch(renamed.path, {"title": "3"}, If_Match=renamed.second).status_int == 200
        answer = renamed.client.patch(renamed.path, {"title": "4"}, If_Match=tag)
        assert answer.status_int == 412
        again = renamed.client.patch(renamed.path, {"title": "4"}, If_Match=answer.headers["ETag"])
        assert again.status_int == 200
        assert renamed.get().headers["ETag"] == again.headers["ETag"]

    def test_no_other_checksum_has_the_form_of_one(self, edited: Edited) -> None:
        for suffix in (".0", ".xyz", ".012345678", "-01234567"):
            tag = f'{edited.second.partition(".")[0]}{suffix}"'
            assert edited.put(If_Match=tag) == 412
            assert edited.get(If_None_Match=tag).status_int == 200
