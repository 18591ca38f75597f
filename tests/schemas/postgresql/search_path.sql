-- clone: needs a search path
-- backup: needs a search path
-- restore: there is no backup
-- move: needs a search path
CREATE FUNCTION plus(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT n + 1';
CREATE FUNCTION twice_plus(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN plus(plus(n)); END';
CREATE TABLE sums (id int PRIMARY KEY, more int GENERATED ALWAYS AS (twice_plus(id)) STORED);
-- rows
INSERT INTO sums VALUES (1), (2);
