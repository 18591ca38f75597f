"""Search by words: the same rows on both engines, whatever is in the texts, and wherever the database has been."""

# ruff: noqa: RUF001 - letters that look like others are what this is about

import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import bindparam, delete, func, select, text, update
from sqlalchemy.orm import Session

from tenantapp.databases.histories.environment import run_command
from tenantapp.databases.histories.targets import tenant_target
from tenantapp.fleet.bundles.exporting import export_bundle
from tenantapp.fleet.bundles.importing import import_tenant
from tenantapp.identity.local_access import local_access
from tenantapp.resources import find_rows
from tenantapp.sql import full_text
from tenantapp.sql.errors import TransactionConflict
from tenantapp.sql.full_text import BETWEEN, NoWords, encoded, fold, parts_of, searched_words, stored_words, words_of
from tenantapp.sql.ids import uuid7
from tenantapp.sql.prepared import LoneSelect
from tenantapp.tenancy.access import Access
from tenantapp.tenancy.databases import TenantDatabases
from tenantapp.tenancy.errors import TenantMigrating
from tenantapp.tenancy.searching import fill_words, matches, write_words
from tenantapp.tenancy.server_engines import engines_of
from tenantapp.workspace.models import Author, Node
from tenantapp.workspace.nodes import nodes
from tests.contract.conftest import Fleet
from tests.contract.rows import findings

BEFORE_WORDS = "c7a1f0e5d942"  # the last revision without the words of nodes
SAME = [
    ("Straße", "STRASSE"),
    ("İstanbul ılık", "istanbul ILIK"),
    ("Zażółć gęślą Łódź", "zazolc GESLA lodz"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
    ("مُحَمَّد", "محمد"),
    ("Ærø œuvre", "AERO OEUVRE"),
    ("ﬁne Ｗｉｄｅ", "fine wide"),
    ("co\u00adop", "coop"),
    ("caf\u0065\u0301", "cafe"),
    ("안녕", "\u110b\u1161\u11ab\u1102\u1167\u11bc"),
    ("ваш ёж", "ВАШ еж"),
]
LETTERS = "abz019ßİıøæłđñéüÅΩςжЖёقא日本語かがカ한पिक़ท่-_.@:/'\"*&|!()<>\\%,;+~^`# \t\n\u200d\u00ad²½Ⅷ𝔘😀"


class Notes:
    """The tenant acme, with nodes that are written as the application writes them."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.place = fleet, fleet.initialised().create("acme")
        self.databases = TenantDatabases(fleet.servers, engines_of(fleet.servers, fleet.settings))
        self.owner = uuid7()
        with self.begin() as session:
            session.add(Author(id=self.owner, name="Ada"))

    def begin(self, slug: str = "acme") -> Any:
        return self.databases.begin(self.access_to(slug))

    def access_to(self, slug: str) -> Access:
        with self.fleet.user_db.begin(read_only=True) as session:
            return local_access(session, slug)

    def add(self, *titles: str, body: str = "") -> None:
        with self.begin() as session:
            session.add_all(self.node(title, body) for title in titles)

    def node(self, title: str, body: str = "") -> Node:
        return Node(owner_id=self.owner, title=title, body=body, status="draft")

    def found(self, query: str, slug: str = "acme") -> list[str]:
        with self.begin(slug) as session:
            return found(session, query)


def found(session: Session, query: str) -> list[str]:
    return list(session.scalars(select(Node.title).where(matches(Node, query)).order_by(Node.id)))


@pytest.fixture
def notes(fleet: Fleet) -> Iterator[Notes]:
    notes = Notes(fleet)
    yield notes
    notes.databases.dispose()


class TestWords:
    @pytest.mark.parametrize(("one", "other"), SAME)
    def test_case_and_accents_do_not_count(self, one: str, other: str) -> None:
        assert list(words_of(one)) == list(words_of(other))
        assert fold(fold(one)) == fold(one)

    @pytest.mark.parametrize("marks", ["\u0301\u0323", "\u0f73", "\u093c\u094d", "\uff9e\u094d", "\U0001d165\u0301"])
    def test_very_many_marks_are_cheap(self, marks: str) -> None:
        started = time.process_time()
        assert list(words_of("a" + marks * (100_000 // len(marks)) + " b"))[1:] == ["b"]
        assert time.process_time() - started < 1

    @pytest.mark.parametrize("letter", ["\ufdfa", "\ufdfa ", "\u3300", "\u0344"])
    def test_letters_that_stand_for_many_are_cheap(self, letter: str) -> None:
        started = time.process_time()
        words = stored_words(["first " + letter * 300_000])
        assert time.process_time() - started < 1
        assert "first" in words
        assert len(words) < 2_000

    def test_a_long_text_has_the_words_of_its_parts(self) -> None:
        chance = random.Random(5)
        for _ in range(300):
            text = "".join(chance.choices(LETTERS, k=chance.randint(1, 60)))
            parts = list(parts_of(text, chance.randint(40, 60)))
            assert "".join(parts) == text or not BETWEEN.search(text)
            assert [word for part in parts for word in words_of(part)] == list(words_of(text))
        assert list(parts_of("a b" + "c" * 9 + " d", 3)) == ["a bccc", " d"]

    def test_every_mark_of_unicode_counts_as_one(self) -> None:
        others = (chr(number) for number in range(0x20000, sys.maxunicode + 1))
        assert not any(map(full_text.is_mark, others))
        for mark in filter(full_text.is_mark, map(chr, range(0x20000))):
            assert full_text.few_marks(mark * 17) == mark * 16
        assert full_text.few_marks("\U0001d400" * 17 + "日本語" * 6) == "\U0001d400" * 17 + "日本語" * 6

    def test_texts_are_split_where_no_engine_would_agree(self) -> None:
        text = "don't e-mail a@b.c x_y https://x/?q=1,5"
        assert list(words_of(text)) == [
            "don",
            "t",
            "e",
            "mail",
            "a",
            "b",
            "c",
            "x",
            "y",
            "https",
            "x",
            "q",
            "1",
            "5",
        ]
        assert list(words_of("日本語テキスト")) == list("日本語テキスト")
        assert list(words_of("a" * 100)) == ["a" * full_text.LONGEST_WORD]

    def test_words_are_encoded_one_to_one_and_from_the_beginning(self) -> None:
        words = ["", "z", "zz", "z00eq", "ж", "жz", "zж", "日", "a日b", "\U0010ffff"]
        assert len({encoded(word) for word in words}) == len(words)
        for word in words:
            assert all(encoded(word).startswith(encoded(word[:length])) for length in range(len(word)))

    @pytest.mark.parametrize("query", ["", " ", "*", '""', "&|!()<->:*", "'\\", "\u200d"])
    def test_a_query_without_words(self, query: str) -> None:
        with pytest.raises(NoWords, match="no word"):
            searched_words(query)

    def test_a_query_of_too_many_words(self) -> None:
        assert len(searched_words(" ".join(map(str, range(16))))) == 16
        with pytest.raises(NoWords, match="at most 16"):
            searched_words(" ".join(map(str, range(17))))


class TestSearch:
    def test_rows_have_all_words_and_the_last_may_be_a_beginning(self, notes: Notes) -> None:
        notes.add("Rocket skates", "Rocket fuel", "Skating rink", body="Straße")
        assert notes.found("rocket") == ["Rocket skates", "Rocket fuel"]
        assert notes.found("SKAT") == ["Rocket skates", "Skating rink"]
        assert notes.found("skat rocket") == []
        assert notes.found("strasse rocket fu") == ["Rocket fuel"]
        assert notes.found("fuel fuel") == ["Rocket fuel"]

    @pytest.mark.parametrize(("one", "other"), SAME)
    def test_case_and_accents_do_not_count(self, notes: Notes, one: str, other: str) -> None:
        notes.add(one)
        assert notes.found(other) == notes.found(one) == [one]

    @pytest.mark.parametrize(
        "query",
        ["", "***", '"', "'", "(", "a AND", "a OR b", "NOT", "NEAR(a b)", "a:*", "!a", "a & | b", "\\", "^a", "%"],
    )
    def test_no_character_of_a_query_is_an_operator(self, notes: Notes, query: str) -> None:
        notes.add("zebra")
        assert notes.found(query) == []

    def test_words_follow_the_row(self, notes: Notes) -> None:
        with notes.begin() as session:
            node = notes.node("first")
            session.add(node)
            session.flush()
            assert found(session, "first") == ["first"]
            node.title = "second"
            session.flush()
            assert (found(session, "first"), found(session, "second")) == ([], ["second"])
            node.status = "archived"
            session.flush()
            assert found(session, "second") == ["second"]
            session.delete(node)
            session.flush()
            assert found(session, "second") == []

    def test_bulk_statements_write_no_words_but_take_them_away(self, notes: Notes) -> None:
        notes.add("first", "second")
        with notes.begin() as session:
            session.execute(update(Node).where(Node.title == "first").values(title="third"))
            assert (found(session, "first"), found(session, "third")) == (["third"], [])
            write_words(session, session.scalars(select(Node)).all())
            assert (found(session, "first"), found(session, "third")) == ([], ["third"])
            session.execute(delete(Node))
            assert found(session, "second") == []
            assert session.scalar(select(func.count()).select_from(text("nodes_words"))) == 0

    def test_words_can_be_written_again(self, notes: Notes) -> None:
        notes.add("secret", "other")
        with notes.begin() as session:
            session.execute(update(Node).where(Node.title == "secret").values(title="removed"))
            fill_words(session.connection(), "nodes", ["title", "body"])
            assert (found(session, "secret"), found(session, "removed")) == ([], ["removed"])
            assert found(session, "other") == ["other"]

    def test_random_texts_are_found_as_our_own_code_says(self, notes: Notes) -> None:
        chance = random.Random(7)
        texts = ["".join(chance.choices(LETTERS, k=chance.randint(1, 30))) for _ in range(150)]
        with notes.begin() as session:
            session.add_all(notes.node(f"{number}", body) for number, body in enumerate(texts))
        with notes.begin() as session:
            for _ in range(150):
                query = "".join(chance.choices(LETTERS, k=chance.randint(1, 4)))
                try:
                    *words, last = searched_words(query)
                except NoWords:
                    words, last = [], "?"
                stored = [stored_words([f"{number}", body]).split() for number, body in enumerate(texts)]
                wanted = [
                    f"{number}"
                    for number, there in enumerate(stored)
                    if set(words) <= set(there) and any(word.startswith(last) for word in there)
                ]
                assert sorted(found(session, query), key=int) == wanted, query

    def test_a_row_has_so_many_words_and_no_more(self, notes: Notes) -> None:
        """The engines could not keep them all: a tsvector has at most a mebibyte."""
        body = " ".join(f"{number:x}ж{number:x}" * 3 for number in range(50_000))
        assert len(stored_words([body])) < 2**20
        notes.add("many", body=body)
        assert notes.found("0ж00ж0") == ["many"]
        assert notes.found("c34fжc34fc34f") == []

    def test_a_statement_may_be_kept_and_its_query_be_a_parameter(self, notes: Notes) -> None:
        """As lists do it: compiled once for both engines."""
        notes.add("Rocket skates")
        titles = LoneSelect(select(Node.title).where(matches(Node, bindparam("q"))))
        with notes.begin() as session:
            assert [row.title for row in titles.rows(session, {"q": "RÖCK"})] == ["Rocket skates"]
        with notes.databases.begin(notes.access_to("acme"), read_only=True) as session:
            assert [row.title for row in titles.rows(session, {"q": "RÖCK"})] == ["Rocket skates"]
            assert titles.rows(session, {"q": "**"}) == []

    def test_the_index_is_used(self, notes: Notes) -> None:
        with notes.begin() as session:
            found = select(Node.id).where(matches(Node, "rocket"))
            compiled = found.compile(session.get_bind(), compile_kwargs={"literal_binds": True})
            if notes.fleet.admin is None:
                plan = session.execute(text(f"EXPLAIN QUERY PLAN {compiled}")).all()
                assert "nodes_words_fts VIRTUAL TABLE INDEX" in str(plan)
            else:
                session.execute(text("SET LOCAL enable_seqscan = off"))
                plan = session.execute(text(f"EXPLAIN {compiled}").execution_options(no_parameters=True)).all()
                assert "ix_nodes_words_words" in str(plan)


class TestWhereTheDatabaseHasBeen:
    def test_a_migration_writes_the_words_of_the_rows_that_are_there(self, notes: Notes) -> None:
        target = tenant_target(notes.fleet.services, notes.place, record=True)
        run_command(target, lambda config: command.downgrade(config, BEFORE_WORDS))
        notes.databases.dispose()
        notes.databases = TenantDatabases(notes.fleet.servers, engines_of(notes.fleet.servers, notes.fleet.settings))
        notes.add("Before Łódź")  # by the new program, on the old structure
        run_command(target, lambda config: command.upgrade(config, "head"))
        notes.add("After Łódź")
        assert notes.found("lodz") == ["Before Łódź", "After Łódź"]
        assert findings(notes.fleet, notes.place, notes.fleet.settings) == ()

    def test_a_process_that_knew_the_words_learns_that_they_are_gone(self, notes: Notes) -> None:
        notes.add("Known")
        target = tenant_target(notes.fleet.services, notes.place, record=True)
        run_command(target, lambda config: command.downgrade(config, BEFORE_WORDS))
        with pytest.raises(TenantMigrating), notes.begin() as session:
            find_rows(nodes, session, {}, search="known")
        run_command(target, lambda config: command.upgrade(config, "head"))
        notes.add("Known again")
        run_command(target, lambda config: command.downgrade(config, BEFORE_WORDS))
        with pytest.raises(TransactionConflict):
            notes.add("Tried in vain")
        notes.add("Tried again")

    def test_a_bundle_carries_the_words(self, notes: Notes, tmp_path: Path) -> None:
        notes.add("Rocket skates", "Łódź")
        export_bundle(notes.fleet.services, notes.place, tmp_path / "bundle")
        copy = import_tenant(notes.fleet.services, tmp_path / "bundle", "copy")
        assert (notes.found("lodz", "copy"), notes.found("rock", "copy")) == (["Łódź"], ["Rocket skates"])
        assert findings(notes.fleet, copy, notes.fleet.settings) == ()
        notes.found("x", "copy")
        with notes.begin("copy") as session:
            session.execute(delete(Node).where(Node.title == "Łódź"))
            assert found(session, "lodz") == []
