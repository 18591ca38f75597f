CREATE TABLE notes_of_all (word TEXT, n INTEGER);
CREATE TABLE nulls_in_key (word TEXT PRIMARY KEY, n INTEGER);
CREATE TABLE not_the_rowid (id INTEGER PRIMARY KEY DESC, n INT, UNIQUE (n) ON CONFLICT REPLACE);
CREATE TABLE int_is_not_it (id INT PRIMARY KEY ON CONFLICT IGNORE);
-- rows
INSERT INTO notes_of_all VALUES ('b', 1), ('a', NULL), ('a', NULL), (NULL, NULL);
INSERT INTO nulls_in_key VALUES (NULL, 1), (NULL, 2), ('a', 3);
INSERT INTO not_the_rowid VALUES (NULL, 1), (NULL, NULL), (3, NULL);
INSERT INTO int_is_not_it VALUES (NULL), (NULL), (2);
