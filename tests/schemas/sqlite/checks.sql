CREATE TABLE limits (
    id INTEGER PRIMARY KEY CHECK (id > 0), low INTEGER CONSTRAINT positive CHECK (low >= 0), high INTEGER,
    config JSON CHECK (config IS NULL OR json_valid(config)), -- a comment, with a comma
    kind TEXT DEFAULT ('a' || 'b') CHECK (kind IN ('ab', 'it''s, (so)', '--no')) /* another, */,
    made TEXT DEFAULT CURRENT_TIMESTAMP, CONSTRAINT "in, order" CHECK (low <= high), CHECK (length(kind) < 20)
);
-- rows
INSERT INTO limits (low, high, config, made) VALUES (1, 2, '{"a": 1,  "a": [1.10, null]}', '2020-01-01 00:00:00');
INSERT INTO limits (low, kind, made) VALUES (0, '--no', NULL), (NULL, 'it''s, (so)', '');
