-- bundle: the table holdings: it has row level security
-- replication: row level security
CREATE TABLE holdings (id int PRIMARY KEY, owner text NOT NULL);
ALTER TABLE holdings ENABLE ROW LEVEL SECURITY;
ALTER TABLE holdings FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON holdings USING (owner = substr('x', 1)) WITH CHECK (true);
-- rows
INSERT INTO holdings SELECT n, 'person ' || n FROM generate_series(1, 50) n;
