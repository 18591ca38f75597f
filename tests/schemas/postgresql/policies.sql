-- bundle: the table drafts: it has row level security
-- replication: row level security
CREATE TABLE drafts (id int PRIMARY KEY, author text NOT NULL);
ALTER TABLE drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY theirs ON drafts AS RESTRICTIVE FOR SELECT USING (author = current_setting('app.author', true));
CREATE POLICY all_of_them ON drafts USING (author <> 'nobody');
-- rows
INSERT INTO drafts VALUES (1, 'ada'), (2, 'bob');
