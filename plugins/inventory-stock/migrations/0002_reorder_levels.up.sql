-- The quantity below which an item should be ordered again.
CREATE TABLE stock_reorder_levels (
    sku TEXT NOT NULL PRIMARY KEY REFERENCES stock_items (sku),
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    set_at INTEGER NOT NULL
) WITHOUT ROWID;
