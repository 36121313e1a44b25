-- A table to run statements on.
CREATE TABLE probe_rows (
    id INTEGER PRIMARY KEY,
    label TEXT UNIQUE,
    number INTEGER NOT NULL DEFAULT 0 CHECK (number >= 0),
    flag BOOLEAN
);
