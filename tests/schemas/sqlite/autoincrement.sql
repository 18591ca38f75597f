CREATE TABLE numbered (id INTEGER PRIMARY KEY AUTOINCREMENT, word TEXT);
CREATE TABLE all_deleted (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE never_used (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TABLE "odd ""number's" ("odd id" INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER REFERENCES "odd ""number's");
CREATE TABLE reuses (id INTEGER PRIMARY KEY);
-- rows
INSERT INTO numbered (word) VALUES ('a'), ('b'), ('c');
DELETE FROM numbered WHERE word <> 'a';
INSERT INTO all_deleted VALUES (41), (-3);
DELETE FROM all_deleted;
INSERT INTO "odd ""number's" VALUES (7, NULL), (1, 7);
INSERT INTO reuses VALUES (5), (9);
DELETE FROM reuses WHERE id = 9;
