-- replication: no primary key
CREATE TABLE places (id int PRIMARY KEY DEFERRABLE, spot int UNIQUE DEFERRABLE INITIALLY DEFERRED, next int);
-- rows
INSERT INTO places VALUES (1, 1, NULL), (2, 2, 1);
