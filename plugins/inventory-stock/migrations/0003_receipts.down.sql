-- The suppliers themselves are lost: 1.1.0 has no place for them.
DROP TABLE stock_receipts;
