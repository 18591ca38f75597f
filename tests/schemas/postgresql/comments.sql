CREATE SCHEMA archive;
CREATE TABLE archive.remarks (id int PRIMARY KEY, word text CONSTRAINT filled CHECK (word <> ''));
CREATE INDEX by_word ON archive.remarks (word);
CREATE TYPE shade AS ENUM ('light');
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW archive.seen AS SELECT 1 AS one;
CREATE SEQUENCE archive.steps;
COMMENT ON SCHEMA archive IS 'what is old';
COMMENT ON TABLE archive.remarks IS 'it''s "so"';
COMMENT ON COLUMN archive.remarks.word IS 'a word';
COMMENT ON CONSTRAINT filled ON archive.remarks IS 'not empty';
COMMENT ON INDEX archive.by_word IS 'quick';
COMMENT ON TYPE shade IS 'of grey';
COMMENT ON FUNCTION one() IS 'one';
COMMENT ON VIEW archive.seen IS 'seen';
COMMENT ON SEQUENCE archive.steps IS 'steps';
-- rows
INSERT INTO archive.remarks VALUES (1, 'x');
