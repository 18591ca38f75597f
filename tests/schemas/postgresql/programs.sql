CREATE FUNCTION plus(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE FUNCTION plus(a text) RETURNS SETOF text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS $$ BEGIN RETURN NEXT a; END $$;
CREATE PROCEDURE nothing(INOUT a int) LANGUAGE plpgsql AS $$ BEGIN a := 1; END $$;
CREATE AGGREGATE product(int) (SFUNC = int4mul, STYPE = int, INITCOND = '1');
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq);
CREATE TABLE counted (id int PRIMARY KEY, more int DEFAULT plus(1), half int GENERATED ALWAYS AS (plus(id, 2)) STORED);
CREATE VIEW products AS SELECT product(id) AS p FROM counted WHERE id === id;
CREATE RULE no_delete AS ON DELETE TO counted DO INSTEAD NOTHING;
-- rows
INSERT INTO counted (id) VALUES (1), (2);
