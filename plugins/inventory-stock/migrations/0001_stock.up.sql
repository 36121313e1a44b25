-- Items, locations and batches are what stock is counted by, levels are how much there is where, and
-- movements are how it came about. Times are milliseconds since 1970, dates are text (2026-11-30).

CREATE TABLE stock_items (
    sku TEXT NOT NULL PRIMARY KEY,
    title TEXT NOT NULL,
    unit TEXT NOT NULL,
    active BOOLEAN NOT NULL DEFAULT 1 CHECK (active IN (0, 1)),
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE stock_locations (
    code TEXT NOT NULL PRIMARY KEY,
    warehouse TEXT NOT NULL,
    zone TEXT NOT NULL,
    bin TEXT NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE stock_batches (
    id INTEGER PRIMARY KEY,
    sku TEXT NOT NULL REFERENCES stock_items (sku),
    number TEXT NOT NULL,
    expires_on TEXT,
    UNIQUE (sku, number)
);

-- A level stays when it has become empty: its version goes on, and pages of a list don't shift.
CREATE TABLE stock_levels (
    id INTEGER PRIMARY KEY,
    sku TEXT NOT NULL REFERENCES stock_items (sku),
    location TEXT NOT NULL REFERENCES stock_locations (code),
    batch_id INTEGER REFERENCES stock_batches (id),
    quantity INTEGER NOT NULL CHECK (quantity >= 0),
    version INTEGER NOT NULL DEFAULT 1,
    received_at INTEGER NOT NULL,
    UNIQUE (sku, location, batch_id)
);

-- Two NULLs are distinct in the constraint above.
CREATE UNIQUE INDEX stock_levels_unbatched ON stock_levels (sku, location) WHERE batch_id IS NULL;

CREATE INDEX stock_levels_by_location ON stock_levels (location, sku);

CREATE TABLE stock_movements (
    id INTEGER PRIMARY KEY,
    reference TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('receive', 'move', 'pick', 'adjust')),
    sku TEXT NOT NULL REFERENCES stock_items (sku),
    batch_id INTEGER REFERENCES stock_batches (id),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    from_location TEXT REFERENCES stock_locations (code),
    to_location TEXT REFERENCES stock_locations (code),
    actor TEXT NOT NULL,
    note TEXT,
    at INTEGER NOT NULL,
    CHECK (from_location IS NOT NULL OR to_location IS NOT NULL)
);

CREATE INDEX stock_movements_by_item ON stock_movements (sku, id);

CREATE INDEX stock_movements_by_reference ON stock_movements (reference);

CREATE TRIGGER stock_movements_keep_rows BEFORE DELETE ON stock_movements
BEGIN
    SELECT RAISE(ABORT, 'movements are append-only');
END;

CREATE TRIGGER stock_movements_keep_values BEFORE UPDATE ON stock_movements
BEGIN
    SELECT RAISE(ABORT, 'movements are append-only');
END;

-- Answers of requests that carried an Idempotency-Key, so that a retry changes nothing.
CREATE TABLE stock_requests (
    key TEXT NOT NULL PRIMARY KEY,
    request TEXT NOT NULL,
    response TEXT NOT NULL,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX stock_requests_by_age ON stock_requests (at);
