CREATE TABLE cities (name text PRIMARY KEY, people int);
CREATE TABLE capitals (state text) INHERITS (cities);
ALTER TABLE capitals ADD PRIMARY KEY (name);
-- rows
INSERT INTO cities VALUES ('Lima', 10), ('Cusco', 1);
INSERT INTO capitals VALUES ('Quito', 3, 'Ecuador');
