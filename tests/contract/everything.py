"""A tenant's database with one of everything that an engine keeps, and what it is to lose something of it."""

from tests.contract.kept import Kept

# What a dump carries, or has to be refused for, beyond the tables of the domain. The role of the tenant makes it.
POSTGRES = (
    "CREATE SCHEMA archive",
    "CREATE TYPE mood AS ENUM ('sad', 'glad')",
    "CREATE DOMAIN short AS varchar(20) CHECK (VALUE <> '')",
    """CREATE TABLE archive."old %s ""things" (
        id serial PRIMARY KEY, words text, f float8, d numeric, at timestamptz, span interval, raw bytea, doc jsonb,
        many text[], how mood, s short, twice int GENERATED ALWAYS AS (id * 2) STORED)""",
    """INSERT INTO archive."old %s ""things" (words, f, d, at, span, raw, doc, many, how, s) VALUES
        ('first', 0.1 + 0.2::float8, 1.50, '2024-02-29 23:59:59.123456+05', '1 mon 2 days 03:04:05.000006', '\\x00ff',
         '{"a": [1, null]}', ARRAY['a', NULL, ''], 'glad', 'x'),
        (NULL, 'NaN', 'NaN', 'infinity', NULL, '', 'null', '{}', NULL, NULL), ('third', 1, 1, NULL, NULL, NULL, NULL,
         NULL, NULL, NULL)""",
    "CREATE TABLE twins (a int, b text)",
    "INSERT INTO twins VALUES (1, 'x'), (1, 'x'), (2, 'y')",
    "CREATE TABLE parts (id int, word text) PARTITION BY RANGE (id)",
    "CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10)",
    "CREATE TABLE parts_rest PARTITION OF parts DEFAULT",
    "INSERT INTO parts VALUES (1, 'low'), (11, 'high')",
    "CREATE TABLE base (id int, word text)",
    "CREATE TABLE child (more text) INHERITS (base)",
    "INSERT INTO base VALUES (1, 'base')",
    "INSERT INTO child VALUES (1, 'base', 'more')",
    "CREATE UNLOGGED TABLE hasty (id int)",
    "INSERT INTO hasty VALUES (1)",
    "CREATE TABLE nothing ()",
    "INSERT INTO nothing DEFAULT VALUES",
    "CREATE MATERIALIZED VIEW seen AS SELECT word FROM parts",
    "CREATE MATERIALIZED VIEW unseen AS SELECT word FROM parts WITH NO DATA",
    'CREATE VIEW words AS SELECT words FROM archive."old %s ""things"',
    "CREATE SEQUENCE counter START 5",
    "CREATE FUNCTION pass() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TRIGGER passing BEFORE INSERT ON twins FOR EACH ROW EXECUTE FUNCTION pass()",
    "SELECT lo_from_bytea(4711, convert_to(repeat('large ', 300000), 'UTF8')), lo_create(4712)",
    "CREATE TABLE secrets (id int PRIMARY KEY, owner_id int REFERENCES secrets, word text)",
    "INSERT INTO secrets VALUES (1, 1, 'hidden'), (2, 1, 'from its owner')",
    "ALTER TABLE secrets ENABLE ROW LEVEL SECURITY",
    "CREATE POLICY nobody ON secrets USING (id < 0)",
)
FORCED = ("ALTER TABLE secrets FORCE ROW LEVEL SECURITY",)
OLD = 'archive."old %s ""things"'
POSTGRES_LOSSES = {
    f"DELETE FROM {OLD} WHERE id = 2": 'the table archive.old %s "things has 2 rows and not 3',
    f"UPDATE {OLD} SET words = 'First' WHERE id = 1": 'the rows of the table archive.old %s "things are not the same',
    f"UPDATE {OLD} SET words = '' WHERE id = 2": "are not the same",
    f"UPDATE {OLD} SET f = 0.3 WHERE id = 1": "are not the same",
    f"UPDATE {OLD} SET d = 1.5 WHERE id = 1": "are not the same",
    f"UPDATE {OLD} SET raw = '\\x00fe' WHERE id = 1": "are not the same",
    f"UPDATE {OLD} SET at = at + interval '1 microsecond' WHERE id = 1": "are not the same",
    f"UPDATE {OLD} SET words = CASE id WHEN 1 THEN 'third' ELSE 'first' END WHERE id <> 2": "are not the same",
    f"ALTER TABLE {OLD} DROP COLUMN words CASCADE": "column words is missing",
    f"DROP TABLE {OLD} CASCADE": "things is missing",
    "DELETE FROM twins WHERE ctid = (SELECT min(ctid) FROM twins)": "the table twins has 2 rows and not 3",
    "UPDATE twins SET a = 2, b = 'y' WHERE ctid = (SELECT min(ctid) FROM twins)": "the rows of the table twins are not",
    "UPDATE twins SET a = 3": "the rows of the table twins are not the same",
    "DELETE FROM parts WHERE id = 11": "the table parts_rest has 0 rows and not 1",
    "UPDATE parts SET id = 2 WHERE id = 11": "the table parts_low has 2 rows and not 1",
    "DELETE FROM child": "the table child has 0 rows and not 1",
    "DELETE FROM ONLY base": "the table base has 0 rows and not 1",
    "TRUNCATE hasty": "the table hasty has 0 rows and not 1",
    "DELETE FROM nothing": "the table nothing has 0 rows and not 1",
    "DELETE FROM secrets WHERE id = 2": "the table secrets has 1 rows and not 2",
    "REFRESH MATERIALIZED VIEW seen WITH NO DATA": "the table seen has 0 rows and not 2",
    "REFRESH MATERIALIZED VIEW unseen": "the table unseen has 2 rows and not 0",
    "SELECT setval('counter', 5)": "the sequence counter is at 5 and not about to give 5",
    'SELECT setval(\'archive."old %s ""things_id_seq"\', 2)': "is at 2 and not at 3",
    "SELECT lo_unlink(4712)": "there are 1 large objects and not 2",
    "SELECT lo_put(4711, 1048576, 'x')": "the large objects are not the same",
    "SELECT lo_put(4711, 1799999, 'x')": "the large objects are not the same",
    "SELECT lo_put(4712, 0, '\\x00')": "the large objects are not the same",
    "DROP TRIGGER passing ON twins": "trigger passing is missing",
    "DROP VIEW words": "view words is missing",
    "DROP FUNCTION pass() CASCADE": "function pass() is missing",
    "DROP POLICY nobody ON secrets": "policy nobody is missing",
    "ALTER TABLE secrets NO FORCE ROW LEVEL SECURITY": "table secrets differs",
    "DROP SEQUENCE counter": "sequence counter is missing",
}
SQLITE = (
    "CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT, words TEXT, twice INTEGER AS (id * 2),"
    " kept INTEGER AS (id * 3) STORED)",
    "INSERT INTO counted (words) VALUES ('first'), (NULL), ('third'), ('gone')",
    "DELETE FROM counted WHERE words = 'gone'",
    'CREATE TABLE "odd %s ""name" (a PRIMARY KEY, b) WITHOUT ROWID',
    """INSERT INTO "odd %s ""name" VALUES (1, 1), (x'01', 'text'), ('two', 2.0), (0.1, CAST(x'ff' AS TEXT))""",
    "CREATE TABLE loose (a, b)",
    "INSERT INTO loose (rowid, a, b) VALUES (5, 'x', 1), (7, 'x', 1)",
    "CREATE INDEX ix_loose ON loose (b, a)",
    "CREATE TABLE named (rowid TEXT, _rowid_ TEXT, oid TEXT)",
    "INSERT INTO named VALUES ('a', 'b', 'c')",
    "CREATE VIRTUAL TABLE search USING fts5 (words)",
    "INSERT INTO search VALUES ('needle and thread'), ('haystack')",
    "CREATE VIEW words AS SELECT words FROM counted",
    "CREATE TRIGGER passing AFTER INSERT ON counted BEGIN SELECT 1; END",
)
ODD = '"odd %s ""name"'
SQLITE_LOSSES = {
    "DELETE FROM counted WHERE id = 2": "the table counted has 2 rows and not 3",
    "UPDATE counted SET words = 'First' WHERE id = 1": "the rows of the table counted are not the same",
    "UPDATE counted SET words = '' WHERE id = 2": "the rows of the table counted are not the same",
    "UPDATE counted SET words = CAST('first' AS BLOB) WHERE id = 1": "the rows of the table counted are not the same",
    "UPDATE sqlite_sequence SET seq = 3": "the rows of the table sqlite_sequence are not the same",
    f"DELETE FROM {ODD} WHERE a = 1": 'the table odd %s "name has 3 rows and not 4',
    f"UPDATE {ODD} SET b = 1.0 WHERE a = 1": 'the rows of the table odd %s "name are not the same',
    f"UPDATE {ODD} SET b = CAST(x'fe' AS TEXT) WHERE a = 0.1": 'the rows of the table odd %s "name are not the same',
    f"UPDATE {ODD} SET b = x'ff' WHERE a = 0.1": 'the rows of the table odd %s "name are not the same',
    "UPDATE loose SET rowid = 6 WHERE rowid = 5": "the rows of the table loose are not the same",
    "DELETE FROM loose WHERE rowid = 7": "the table loose has 1 rows and not 2",
    "UPDATE named SET oid = 'd'": "the rows of the table named are not the same",
    "DELETE FROM search WHERE words MATCH 'haystack'": "search_content has 1 rows and not 2",
    "UPDATE search_content SET c0 = 'needle and threat' WHERE id = 1": "the rows of the table search_content are not",
    "DELETE FROM search_data WHERE id > 10": "the table search_data has",
    "DROP TABLE search": "search is missing",
    "DROP TABLE loose": "table loose is missing",
    "DROP INDEX ix_loose": "index ix_loose is missing",
    "DROP VIEW words": "view words is missing",
    "DROP TRIGGER passing": "trigger passing is missing",
    "ALTER TABLE counted DROP COLUMN kept": "column kept is missing",
}


def add_everything(kept: Kept) -> None:
    """Put one of everything into the database of acme."""
    for statement in SQLITE if kept.fleet.admin is None else (*POSTGRES, *FORCED):
        kept.execute(statement)
