-- replication: no primary key
CREATE TABLE moments (
    id int, at timestamptz DEFAULT '2020-01-01 00:00+00', day date DEFAULT '2020-02-01', span interval DEFAULT '1 mon 2 days',
    CHECK (at > '1900-01-01 00:00+00'::timestamptz)
) PARTITION BY RANGE (at);
CREATE TABLE moments_before PARTITION OF moments FOR VALUES FROM ('1900-01-01 00:00+00') TO ('2020-01-01 00:00+00');
CREATE TABLE moments_after PARTITION OF moments FOR VALUES FROM ('2020-01-01 00:00+00') TO (MAXVALUE);
CREATE VIEW lately AS SELECT id FROM moments WHERE at > '2021-06-01 12:00+02'::timestamptz;
-- rows
INSERT INTO moments (id) VALUES (1);
INSERT INTO moments VALUES (2, '1999-12-31 23:59:59.999999+00', '1999-12-31', '-1 year');
