-- replication: no primary key
CREATE SCHEMA "50% off";
CREATE TABLE "50% off"."Ärger ""mit"" %s" ("%(name)s" int PRIMARY KEY, "select" text, "a.b" text DEFAULT '%');
CREATE TABLE "Nodes" (id int PRIMARY KEY);
CREATE TYPE "My Mood" AS ENUM ('%s');
CREATE TABLE moody (id int PRIMARY KEY, "How" "My Mood");
CREATE MATERIALIZED VIEW "50% off"."All %s" AS SELECT count(*) AS "n%" FROM "50% off"."Ärger ""mit"" %s";
-- rows
INSERT INTO "50% off"."Ärger ""mit"" %s" VALUES (1, 'x%', 'y');
INSERT INTO "Nodes" VALUES (1);
INSERT INTO moody VALUES (1, '%s');
REFRESH MATERIALIZED VIEW "50% off"."All %s";
