-- Rows of SQL are counted apart: read and written. Memory over time and the size of the private database are
-- metered too.

UPDATE quotas SET dimension = 'sql-rows-read' WHERE dimension = 'sql-rows';

ALTER TABLE usage RENAME COLUMN sql_rows TO sql_rows_read;
ALTER TABLE usage ADD COLUMN sql_rows_written BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN memory_byte_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN storage_bytes BIGINT NOT NULL DEFAULT 0;

CREATE INDEX usage_minute ON usage (minute);
