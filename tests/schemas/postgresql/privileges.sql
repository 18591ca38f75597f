CREATE TABLE figures (id int PRIMARY KEY, secret text);
CREATE FUNCTION secret() RETURNS text LANGUAGE sql AS 'SELECT ''secret''';
REVOKE EXECUTE ON FUNCTION secret() FROM PUBLIC;
CREATE VIEW open_figures AS SELECT id FROM figures;
GRANT SELECT ON open_figures TO PUBLIC;
GRANT SELECT (id) ON figures TO PUBLIC;
-- rows
INSERT INTO figures VALUES (1, 'x');
