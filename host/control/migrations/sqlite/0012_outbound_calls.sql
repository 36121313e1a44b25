-- HTTP requests that runs sent.
ALTER TABLE usage ADD COLUMN outbound_calls BIGINT NOT NULL DEFAULT 0;
