CREATE TYPE mood AS ENUM ('sad', 'so,so', 'glad ''n'' "gay"');
CREATE TYPE twosome AS (a int, b text);
CREATE DOMAIN brief AS varchar(20) CHECK (VALUE <> '');
CREATE TYPE floats AS RANGE (subtype = float8);
CREATE TABLE things (
    id int PRIMARY KEY, texts text[], grid int[][], moods mood[], how mood, couple twosome, pairs twosome[], s brief, net inet, block cidr, mac macaddr,
    whole int4range, spans tstzmultirange, own floats, bits bit(3), more varbit, cash money, spot point, shape polygon,
    words tsvector, query tsquery, span interval, spans2 interval[], id2 uuid, b bytea, bs bytea[], j json, jb jsonb, path jsonpath, clock timetz, c "char"
);
-- rows
INSERT INTO things VALUES (
    1, ARRAY['a', NULL, '', 'NULL', '{"x"}', E'tab\tline\nback\\'], '{{1,2},{3,4}}', '{sad,"so,so"}', 'glad ''n'' "gay"', '(1,"b,(")', ARRAY[(1,'x')::twosome, NULL], 'x',
    '192.0.2.1/24', '2001:db8::/32', '08:00:2b:01:02:03', '[1,10)', '{[2020-01-01 00:00+00,2021-01-01 00:00+00)}', '[1.5,2.5]',
    '101', '10101', 12.34, '(1,2)', '((0,0),(1,1),(1,0))', 'fat:1A cat:2', 'fat & !cat', '1 mon 2 days 03:04:05.000006', ARRAY['1 day'::interval, NULL],
    '00000000-0000-7000-8000-000000000001', '\x00ff5c', ARRAY['\x00'::bytea, '\xff'], '{"a": 1,  "a": 2}', '{"a": [1.10, null]}', '$.a[*]', '12:00:00+05:30', 'x');
INSERT INTO things (id, texts) VALUES (2, '{}'), (3, '[2:3]={a,b}');
