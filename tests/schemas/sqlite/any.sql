-- bundle: the column loose.v: its type has no portable form
CREATE TABLE loose (id INTEGER PRIMARY KEY, v ANY) STRICT;
-- rows
INSERT INTO loose (v) VALUES (1), ('1'), (1.0), (x'31'), (NULL), ('a');
