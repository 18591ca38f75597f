CREATE TABLE documents (id INTEGER PRIMARY KEY, j JSON, b BLOB AS (j ->> '$.a') VIRTUAL);
CREATE INDEX by_a ON documents (j ->> '$.a');
-- rows
INSERT INTO documents (j) VALUES ('{"a": 1,  "a": 2}'), ('1'), ('-1.5'), ('"5"'), ('true'), ('null'), (NULL), ('12345678901234567890');
