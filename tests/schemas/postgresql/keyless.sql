-- replication: no primary key
CREATE TABLE log (at timestamptz, line text);
CREATE TABLE nothing ();
CREATE TABLE alone (one int UNIQUE);
-- rows
INSERT INTO log VALUES ('2020-01-01 00:00+00', 'x'), ('2020-01-01 00:00+00', 'x');
INSERT INTO nothing DEFAULT VALUES;
INSERT INTO alone VALUES (1), (NULL), (NULL);
