CREATE TABLE "Odd t%able" ("Odd ""c%l" INTEGER PRIMARY KEY, [bracket ed] TEXT, `back``tick` TEXT, "select" TEXT, 'single' TEXT, "ü:n.i" TEXT, "?" TEXT);
CREATE TABLE "ORDER" ("group" TEXT PRIMARY KEY, "a.b" TEXT REFERENCES "Odd.table" ("x.y"));
CREATE TABLE "Odd.table" ("x.y" TEXT UNIQUE, "" TEXT);
CREATE INDEX "Odd i%ndex" ON "Odd t%able" ("select", "ü:n.i");
CREATE VIEW "Odd v%iew" AS SELECT "Odd ""c%l" AS "a ""b" FROM "Odd t%able";
-- rows
INSERT INTO "Odd t%able" VALUES (1, 'a', 'b', 'c', 'd', 'e', '?');
INSERT INTO "Odd.table" VALUES ('z', 'nameless'), (NULL, '');
INSERT INTO "ORDER" VALUES ('g', 'z');
