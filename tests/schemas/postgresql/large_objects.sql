-- bundle: the large object
-- replication: large objects
CREATE TABLE documents (id int PRIMARY KEY, content oid NOT NULL);
-- rows
INSERT INTO documents VALUES (1, lo_from_bytea(0, convert_to(repeat('large ', 500000), 'UTF8'))), (2, lo_create(0));
