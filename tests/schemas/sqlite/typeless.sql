-- bundle: the column (copied.one|typeless.a): its type has no portable form
CREATE TABLE typeless (a, b);
CREATE TABLE copied AS SELECT 1 AS one, 'x' AS word;
-- rows
INSERT INTO typeless VALUES (1, '1'), (x'00', NULL), (1.0, 'a');
