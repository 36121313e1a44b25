-- Usage by hook: what an install consumed as a hook has a row of its own, so that the sum over all rows of an install is
-- its usage and the rows with a hook are a part of it. Calls of webhooks are metered for the install that has the point.
ALTER TABLE usage ADD COLUMN hook_id TEXT;
ALTER TABLE usage ADD COLUMN webhook_calls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN webhook_failures BIGINT NOT NULL DEFAULT 0;

-- Providers look at the hooks that call an app of theirs, wherever it is installed.
CREATE INDEX installs_app ON installs (app_id);
