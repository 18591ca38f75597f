CREATE SEQUENCE invoice_numbers START 100 INCREMENT 5;
CREATE TABLE invoices (number text DEFAULT 'INV-' || nextval('invoice_numbers') PRIMARY KEY, total numeric);
CREATE TABLE countdown (id int GENERATED ALWAYS AS IDENTITY (START -1 INCREMENT -1 MINVALUE -1000 MAXVALUE -1) PRIMARY KEY, word text);
CREATE TABLE sentinels (id serial PRIMARY KEY, word text);
CREATE SEQUENCE never_used;
-- rows
INSERT INTO invoices (total) VALUES (1), (2);
INSERT INTO countdown (word) VALUES ('a'), ('b');
INSERT INTO sentinels (word) VALUES ('first');
INSERT INTO sentinels VALUES (2147483647, 'the end');
