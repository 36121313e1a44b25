-- Log text that was left out.
ALTER TABLE usage ADD COLUMN log_bytes_lost BIGINT NOT NULL DEFAULT 0;
