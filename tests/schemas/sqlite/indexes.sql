CREATE TABLE papers (id INTEGER PRIMARY KEY, title VARCHAR(40) COLLATE NOCASE, state TEXT, at INTEGER, "odd, (name" TEXT);
CREATE UNIQUE INDEX one_open ON papers (title) WHERE state = 'open';
CREATE INDEX by_expression ON papers (lower(title), at % 10 DESC, coalesce(state, 'none'));
CREATE INDEX "by, odd (name" ON papers ("odd, (name" COLLATE RTRIM ASC);
CREATE INDEX recent ON papers (at DESC) WHERE at > 100 AND state IN ('open', 'it''s, (so)');
-- rows
INSERT INTO papers (title, state, at) VALUES ('A', 'open', 1), ('a', 'closed', 201), (NULL, 'open', 3), (NULL, 'open', 4);
