CREATE TABLE measures (
    id INTEGER PRIMARY KEY, n INT NOT NULL DEFAULT 7, r REAL, t TEXT NOT NULL DEFAULT '', b BLOB, UNIQUE (n, t)
) STRICT;
CREATE TABLE "kept apart" (a TEXT, b INTEGER, c REAL, PRIMARY KEY (b DESC, a)) STRICT, WITHOUT ROWID;
-- rows
INSERT INTO measures (id, r, t, b) VALUES (1, 1, 'x', x'00ff'), (2, -1.5e300, 'y', x''), (-9223372036854775808, 5e-324, '', NULL);
INSERT INTO measures VALUES (9223372036854775807, -9223372036854775808, 9e999, 'z', zeroblob(3)), (5, 1, -9e999, '1', x'31'), (6, 2, -0.0, '1.0', NULL), (7, 3, 0.1 + 0.2, '007', NULL);
INSERT INTO "kept apart" VALUES ('a', 1, 2.0), ('b', 1, 9007199254740993), ('a', -1, NULL);
