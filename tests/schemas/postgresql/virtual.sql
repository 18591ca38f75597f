-- needs: 18
CREATE TABLE parcels (id int PRIMARY KEY, width int CONSTRAINT wide NOT NULL, height int CONSTRAINT high CHECK (height > 0) NOT ENFORCED, area int GENERATED ALWAYS AS (width * height) VIRTUAL);
-- rows
INSERT INTO parcels (id, width, height) VALUES (1, 2, 3), (2, 2, -1);
