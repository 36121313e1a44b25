-- What a receipt says beyond its movements, which have its reference.
CREATE TABLE stock_receipts (
    reference TEXT NOT NULL PRIMARY KEY,
    supplier TEXT NOT NULL
) WITHOUT ROWID;
