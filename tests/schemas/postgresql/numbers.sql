CREATE TABLE numbers (id int PRIMARY KEY, f float8, r real, n numeric, m numeric(20, 5), big numeric(60, 2), at timestamptz, t timestamp, d date, span interval);
-- rows
INSERT INTO numbers (id, f, r, n) VALUES (1, 'NaN', 'NaN', 'NaN'), (2, 'Infinity', '-Infinity', 'Infinity'), (3, '-0', '-0', 0),
    (4, 0.1 + 0.2::float8, 1e-40, 1e300), (5, 5e-324, 3.4028235e38, 0.00000000000000000001);
INSERT INTO numbers (id, big) VALUES (9, 1234567890123456789012345678901234567890.10), (10, -0.00);
INSERT INTO numbers (id, m, at, t, d, span) VALUES (6, 1.5, 'infinity', '-infinity', 'infinity', '1 mon'), (7, 1, '0044-03-15 12:00+00 BC', '0001-01-01 BC', '4713-01-01 BC', '-1 mon +2 days -03:04:05.000006'),
    (8, 0, '294276-01-01 00:00+00', '1582-10-10', '5874897-12-31', '0');
