CREATE TABLE boxes (
    id INTEGER PRIMARY KEY, width INTEGER, height INTEGER,
    area INTEGER GENERATED ALWAYS AS (width * height) STORED, half REAL AS (width / 2.0) VIRTUAL CHECK (half > 0),
    label TEXT AS ('box ' || id || ', ' || area) NOT NULL UNIQUE
);
CREATE INDEX by_half ON boxes (half);
CREATE TABLE "first is" (name TEXT AS (lower(given)) STORED, given TEXT, id INTEGER PRIMARY KEY);
-- rows
INSERT INTO boxes (width, height) VALUES (2, 3), (3, 4);
INSERT INTO "first is" (given) VALUES ('ADA');
