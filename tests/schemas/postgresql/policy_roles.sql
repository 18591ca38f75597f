-- bundle: the table secrets: it has row level security
-- replication: row level security
CREATE TABLE secrets (id int PRIMARY KEY);
ALTER TABLE secrets ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON secrets TO reporting USING (true);
-- rows
INSERT INTO secrets VALUES (1);
