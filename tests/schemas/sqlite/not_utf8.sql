-- bundle: Could not read the database of acme: Could not decode to UTF-8 column 't'
CREATE TABLE garbled (id INTEGER PRIMARY KEY, t TEXT);
-- rows
INSERT INTO garbled VALUES (1, CAST(x'ff00fe' AS TEXT)), (2, char(55357));
