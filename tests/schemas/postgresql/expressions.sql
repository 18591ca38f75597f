-- replication: no primary key
CREATE TABLE words (
    id int PRIMARY KEY, s varchar(20) CHECK (s IN ('ab', left('cde', 2))), t text CHECK (t = ANY (ARRAY['a,b', 'it''s', '(']) OR t LIKE '%(%'),
    n int CHECK (n BETWEEN 1 AND 10 AND n <> ALL (ARRAY[2, 3])), c char(5) DEFAULT 'x', j jsonb DEFAULT '{"a": [1, ","]}'
);
CREATE INDEX lower_words ON words (lower(s), (t || ',' || s)) WHERE s IN ('ab', 'cd');
CREATE VIEW few_words AS SELECT id FROM words WHERE s IN ('ab', left('cde', 2)) AND t = ANY (ARRAY['a,b'::text]);
CREATE DOMAIN hour AS int CHECK (VALUE BETWEEN 0 AND 23 AND VALUE <> 13);
CREATE TABLE shifts (
    id int PRIMARY KEY, first hour DEFAULT 8, during int4range, kind varchar(9) DEFAULT 'day', twice bool DEFAULT (1 BETWEEN 0 AND 3 AND true),
    late bool GENERATED ALWAYS AS (kind IN ('night', left('eve', 3)) AND first BETWEEN 0 AND 23 AND first <> 8) STORED,
    EXCLUDE USING gist (during WITH &&) WHERE (kind IN ('day', 'night') AND id BETWEEN 1 AND 9 AND id <> 5),
    CONSTRAINT either CHECK (first NOT BETWEEN 1 AND 2 OR (kind NOT IN ('a', lower('B')) AND (id BETWEEN 1 AND 9 AND id > 0)))
);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER kept BEFORE UPDATE ON shifts FOR EACH ROW WHEN (NEW.kind IN ('day', left('eve', 2)) AND OLD.id BETWEEN 1 AND 9 AND true) EXECUTE FUNCTION keep();
CREATE RULE noted AS ON UPDATE TO words WHERE NEW.s IN ('ab', left('xy', 1)) AND NEW.n BETWEEN 1 AND 3 AND true DO NOTHING;
CREATE TABLE sorted (kind varchar(9), n int) PARTITION BY LIST ((kind IN ('a', 'b') AND n BETWEEN 1 AND 9 AND n <> 5));
CREATE TABLE sorted_in PARTITION OF sorted FOR VALUES IN (true);
CREATE TABLE sorted_out PARTITION OF sorted DEFAULT;
CREATE FUNCTION among(n int, s varchar DEFAULT 'ab') RETURNS bool LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT n BETWEEN 1 AND 3 AND s IN ('ab', left('cde', 2)); END;
-- rows
INSERT INTO words (id, s, t, n) VALUES (1, 'ab', 'a,b', 1), (2, 'cd', '(', 4);
INSERT INTO shifts (id, during, kind) VALUES (1, '[1,3)', 'day'), (2, '[3,4)', 'night');
INSERT INTO sorted VALUES ('a', 1), ('z', 1);
