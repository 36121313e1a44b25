-- Calls as a hook are metered for the install that is called.
ALTER TABLE usage ADD COLUMN hook_calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN hook_failures BIGINT NOT NULL DEFAULT 0;
