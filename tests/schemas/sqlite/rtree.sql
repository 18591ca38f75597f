-- bundle: the table places: it is virtual
CREATE VIRTUAL TABLE places USING rtree(id, west, east, south, north, +name TEXT);
-- rows
INSERT INTO places VALUES (1, -80.77, -80.75, 35.2, 35.3, 'home'), (2, 0, 0, 0, 0, NULL);
