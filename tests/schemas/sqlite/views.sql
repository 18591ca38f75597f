CREATE TABLE steps (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES steps);
CREATE VIEW roots AS SELECT id FROM steps WHERE parent IS NULL;
CREATE VIEW paths (id, path) AS WITH RECURSIVE found (id, path) AS (
    SELECT id, '/' || id FROM roots UNION ALL SELECT s.id, path || '/' || s.id FROM steps s JOIN found f ON f.id = s.parent
) SELECT id, path FROM found;
CREATE VIEW  "spaced   out"  AS /* ; */ SELECT sum(id) OVER (ORDER BY id) AS total FROM steps -- to here
;
-- rows
INSERT INTO steps VALUES (1, NULL), (2, 1), (3, 2);
