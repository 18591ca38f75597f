"""What a database may be given comes with copies, which may come from anywhere."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from tenantapp.databases.privileges.catalogue import Target
from tenantapp.databases.privileges.statements import (
    NotUnderstood,
    check,
    gives_others,
    known_only,
    roles_named,
    statements_for,
    without_maintain,
)

CONNECTION: Any = SimpleNamespace(dialect=PGDialect_psycopg2())
TABLE = Target("TABLE public.notes", "")
DATABASE = Target('DATABASE "tenant_1"', "")


def statements(words: str, target: Target = TABLE) -> list[tuple[str, tuple[str, ...]]]:
    return [tuple(each) for each in statements_for(CONNECTION, "it", words, target, "tenant_1")]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "GRANT SELECT TO PUBLIC;",
        "GRANT SELECT TO PUBLIC; DROP TABLE notes",
        "GRANT SELECT TO PUBLIC;DROP TABLE notes",
        "GRANT SELECT TO reporting",
        'GRANT SELECT TO "reporting" BY "other"',
        'GRANT SELECT TO "a" "b"',
        'GRANT SELECT TO ""',
        'GRANT SELECT TO "a\0b"',
        'GRANT "pg_read_all_data" TO "tenant_1"',
        "GRANT SET TO PUBLIC",
        "GRANT SELECT ON COLUMN id TO PUBLIC",
        "SET search_path TO 'a'",
        "SET \"search_path\" TO 'a' b'",
        'SET "search_path" TO \'a\' FOR "other"',
        'POLICY "p" TO PUBLIC USING (true)',
        'POLICY "p" TO OWNER',
        "ALTER TABLE notes OWNER TO PUBLIC",
    ],
)
def test_other_words_are_refused(words: str) -> None:
    with pytest.raises(NotUnderstood, match=r"^it: "):
        check({"it": words})


def test_every_name_is_quoted_anew() -> None:
    assert statements(
        'REVOKE ALL FROM OWNER; GRANT SELECT, UPDATE ON COLUMN "a""; --%" TO "x""y" WITH GRANT OPTION'
    ) == [
        ('REVOKE ALL ON TABLE public.notes FROM "tenant_1"', ()),
        ('GRANT SELECT ("a""; --%%"), UPDATE ("a""; --%%") ON TABLE public.notes TO "x""y" WITH GRANT OPTION', ()),
    ]
    assert statements('POLICY "p""" TO PUBLIC, "r"') == [('ALTER POLICY "p""" ON public.notes TO PUBLIC, "r"', ())]
    assert statements("SET \"a.b\" TO 'it''s'; SET \"Search_Path\" TO '\"x\", y' FOR OWNER", DATABASE) == [
        ('ALTER DATABASE "tenant_1" SET "a"."b" TO %s', ("it's",)),
        ("SELECT pg_catalog.set_config(%s, %s, true)", ("Search_Path", '"x", y')),
        ('ALTER ROLE "tenant_1" IN DATABASE "tenant_1" SET "Search_Path" FROM CURRENT', ()),
        ("SET LOCAL search_path TO pg_catalog", ()),
    ]


def test_what_is_missing_gets_nothing() -> None:
    for words in ("GRANT SELECT TO PUBLIC", "SET \"a\" TO 'b'"):
        with pytest.raises(NotUnderstood):
            list(statements_for(CONNECTION, "it", words, None, "tenant_1"))
    with pytest.raises(NotUnderstood):
        statements("SET \"a\" TO 'b'")  # a table has no settings


def test_only_what_is_known_is_kept() -> None:
    known = {
        "table a": 'GRANT INSERT, SELECT TO "reporting"; GRANT UPDATE TO "reporting" WITH GRANT OPTION',
        "table b": 'GRANT ALL TO "reporting"; GRANT SELECT ON COLUMN "id" TO PUBLIC',
        "database": "SET \"TimeZone\" TO 'UTC'; SET \"work_mem\" TO '4MB'",
    }
    kept = {
        "table a": 'REVOKE ALL FROM PUBLIC; GRANT ALL TO OWNER; GRANT SELECT, UPDATE TO "reporting"; POLICY "p" TO "x"',
        "table b": 'GRANT DELETE TO "reporting"; GRANT SELECT ON COLUMN "id" TO PUBLIC',
        "database": "SET \"work_mem\" TO '4MB'",
    }
    beyond = {
        "table a": [
            "GRANT SELECT TO PUBLIC",
            'GRANT ALL TO "reporting"',
            'GRANT SELECT TO "reporting" WITH GRANT OPTION',
        ],
        "table b": ["GRANT SELECT TO PUBLIC", 'GRANT SELECT ON COLUMN "name" TO PUBLIC', 'GRANT SELECT TO "other"'],
        "database": ["GRANT CONNECT TO PUBLIC", "SET \"TimeZone\" TO 'CET'", "SET \"work_mem\" TO '4MB' FOR OWNER"],
    }
    words = {thing: "; ".join((kept[thing], *beyond[thing])) for thing in kept} | {"table c": "GRANT SELECT TO PUBLIC"}
    left_out = [f"{thing}: {each}" for thing, listed in beyond.items() for each in listed]
    assert known_only(words, known) == (kept, [*left_out, "table c: GRANT SELECT TO PUBLIC"])
    assert roles_named(words) == {"other", "reporting", "x"}
    assert gives_others({"database": "GRANT CONNECT TO PUBLIC"})
    assert not gives_others({"table a": 'REVOKE ALL FROM "reporting"; GRANT ALL TO OWNER'})


def test_all_rights_of_a_version_without_maintain() -> None:
    known = {"table a": 'GRANT ALL TO "reporting"'}
    words = {
        "table a": 'GRANT ALL TO OWNER; GRANT ALL TO "reporting"; GRANT ALL TO PUBLIC; GRANT ALL ON COLUMN "a" TO "x"',
        "sequence a_id_seq": "GRANT ALL TO PUBLIC",
    }
    rights = "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
    expected = words["table a"].replace("GRANT ALL TO PUBLIC", f"GRANT {rights} TO PUBLIC")
    assert without_maintain(words, known) == words | {"table a": expected}
