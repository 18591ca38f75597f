-- bundle: the table notes: it has row level security
-- replication: row level security
CREATE TABLE notes (id int PRIMARY KEY, s varchar(20));
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON notes USING (s IN ('ab', left('cde', 2)) AND substr('x', 1) = 'x') WITH CHECK (id BETWEEN 1 AND 9 AND id <> 5);
-- rows
INSERT INTO notes VALUES (1, 'ab'), (2, 'cd');
