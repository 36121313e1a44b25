-- The levels themselves are lost: 1.0.0 has no place for them.
DROP TABLE stock_reorder_levels;
