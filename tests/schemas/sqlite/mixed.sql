-- bundle: a row of ledger
CREATE TABLE ledger (id INTEGER PRIMARY KEY, n INTEGER, t TEXT);
-- rows
INSERT INTO ledger VALUES (1, 'no number', 'x'), (2, x'31', x'31'), (3, 1.5, 1);
