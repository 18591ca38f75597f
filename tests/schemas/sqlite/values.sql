CREATE TABLE samples (id INTEGER PRIMARY KEY, t TEXT, v VARCHAR(3), n INTEGER, big BIGINT, r REAL, f FLOAT, b BLOB, yes BOOLEAN);
-- rows
INSERT INTO samples VALUES (1, 'a' || char(0) || 'b', 'longer than three', 9223372036854775807, -9223372036854775808, 9e999, -9e999, x'00', 1);
INSERT INTO samples VALUES (2, '', char(0), 0, 1, -0.0, 1e308, x'', 0), (3, char(128512), char(127), -1, 2, 5e-324, 0.1, zeroblob(70000), NULL);
INSERT INTO samples (id, t) VALUES (4, char(10, 13, 9, 92, 34, 39)), (5, char(8232, 65279, 1114111)), (6, printf('%.*c', 70000, 'x'));
