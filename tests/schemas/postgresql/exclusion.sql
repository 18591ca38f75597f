-- replication: no primary key
CREATE TABLE bookings (id int PRIMARY KEY, during tsrange, EXCLUDE USING gist (during WITH &&));
CREATE UNLOGGED TABLE hasty (id int PRIMARY KEY);
CREATE TABLE twins (a int, b text);
CREATE UNIQUE INDEX one_b ON twins (b) INCLUDE (a) NULLS NOT DISTINCT WHERE a > 1;
-- rows
INSERT INTO bookings VALUES (1, '[2020-01-01,2020-01-02)');
INSERT INTO hasty VALUES (1);
INSERT INTO twins VALUES (1, 'x'), (1, 'x'), (2, 'y');
