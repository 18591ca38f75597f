-- bundle: the table accounts: it has row level security
CREATE TABLE accounts (id int PRIMARY KEY, owner text NOT NULL);
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
ALTER TABLE accounts FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON accounts USING (owner = substr('x', 1)) WITH CHECK (true);
-- rows
INSERT INTO accounts SELECT n, 'person ' || n FROM generate_series(1, 50) n;
