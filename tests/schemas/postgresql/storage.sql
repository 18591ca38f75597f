CREATE TABLE stored (id int PRIMARY KEY, a text COLLATE "C", b text, c text) WITH (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE stored ALTER b SET STORAGE EXTERNAL;
ALTER TABLE stored ALTER c SET STATISTICS 500;
CREATE STATISTICS together (dependencies) ON a, b FROM stored;
CREATE INDEX by_a ON stored USING brin (id) WITH (pages_per_range = 4);
ALTER TABLE stored CLUSTER ON stored_pkey;
ALTER TABLE stored REPLICA IDENTITY FULL;
CREATE TEXT SEARCH CONFIGURATION plain (COPY = simple);
-- rows
INSERT INTO stored VALUES (1, 'a', 'b', 'c');
