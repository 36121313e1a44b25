-- Goes back to an empty database; in the order in which nothing refers to what is dropped.
DROP TABLE stock_requests;
DROP TABLE stock_movements;
DROP TABLE stock_levels;
DROP TABLE stock_batches;
DROP TABLE stock_locations;
DROP TABLE stock_items;
