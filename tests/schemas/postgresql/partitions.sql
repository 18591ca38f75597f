-- move: cannot be replicated
CREATE TABLE events (id int, kind text, at date, PRIMARY KEY (id, kind, at)) PARTITION BY LIST (kind);
CREATE TABLE events_a PARTITION OF events FOR VALUES IN ('a') PARTITION BY RANGE (at);
CREATE TABLE events_a_2020 PARTITION OF events_a FOR VALUES FROM ('2020-01-01') TO ('2021-01-01');
CREATE TABLE events_a_rest PARTITION OF events_a DEFAULT;
CREATE TABLE events_b PARTITION OF events FOR VALUES IN ('b') PARTITION BY HASH (id);
CREATE TABLE events_b_0 PARTITION OF events_b FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_b_1 PARTITION OF events_b FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX events_at ON events (at);
ALTER TABLE events_a_2020 ADD CHECK (id > 0);
-- rows
INSERT INTO events VALUES (1, 'a', '2020-05-05'), (2, 'a', '1999-01-01'), (3, 'b', '2020-01-01'), (4, 'b', '2020-01-01');
