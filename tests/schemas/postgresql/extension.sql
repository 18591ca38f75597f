-- extensions: vector
CREATE EXTENSION IF NOT EXISTS vector;
CREATE TABLE embeddings (id int PRIMARY KEY, place vector(3), half halfvec(2), sparse sparsevec(5), several vector[], unit float8 GENERATED ALWAYS AS (vector_norm(place)) STORED);
CREATE INDEX nearest ON embeddings USING hnsw (place vector_l2_ops);
CREATE INDEX longest ON embeddings (vector_norm(place));
CREATE FUNCTION near(a vector, b vector) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT a OPERATOR(public.<->) b';
CREATE TYPE spot AS (place vector, word text);
CREATE FUNCTION place_of(a spot) RETURNS vector LANGUAGE sql IMMUTABLE AS 'SELECT ($1).place';
CREATE CAST (spot AS vector) WITH FUNCTION place_of(spot);
-- rows
INSERT INTO embeddings VALUES (1, '[0.1,-0,1e-40]', '[0.1,-6.1e-05]', '{1:0.3,5:-2}/5', '{"[1,2]","[3.4028235e+38]"}'), (2, NULL, NULL, '{}/5', '{}');
