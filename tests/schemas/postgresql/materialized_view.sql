-- replication: no primary key
CREATE TABLE sales (id int PRIMARY KEY, amount int);
CREATE MATERIALIZED VIEW totals AS SELECT sum(amount) AS total FROM sales;
CREATE MATERIALIZED VIEW doubled AS SELECT total * 2 AS total FROM totals;
CREATE UNIQUE INDEX one_total ON totals (total);
CREATE MATERIALIZED VIEW unseen AS SELECT 1 AS one WITH NO DATA;
-- rows
INSERT INTO sales VALUES (1, 10), (2, 20);
REFRESH MATERIALIZED VIEW totals;
REFRESH MATERIALIZED VIEW doubled;
