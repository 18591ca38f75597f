CREATE TABLE versions (id INTEGER PRIMARY KEY);
PRAGMA user_version = 12;
PRAGMA application_id = 252006674;
-- rows
INSERT INTO versions VALUES (1);
