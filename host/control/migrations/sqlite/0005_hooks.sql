-- What a release offers to other apps and needs from them, with the types of all functions; releases from before
-- have none of it. As immutable as the rest of a release.
ALTER TABLE releases ADD COLUMN shapes TEXT;

DROP TRIGGER releases_immutable;

CREATE TRIGGER releases_immutable
BEFORE UPDATE OF id, app_id, version, digest, component_digest, size_bytes, manifest, capabilities, migrations, shapes, created_at ON releases
BEGIN
    SELECT RAISE(ABORT, 'a release is immutable; only its state changes');
END;

-- Hooks: what fills an extension point of an app in an instance, either another install or a webhook. Properties
-- that are NULL are those that the point's manifest says. `position` counts from 1 without gaps on each point.
-- `keys` sign what is sent to a webhook, so that they can't be hashed; the newest comes first. `written_for` is the
-- point as it was when the webhook was added or last enabled: what its endpoint understands.
CREATE TABLE hooks (
    id TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    app_install_id TEXT NOT NULL REFERENCES installs (id),
    point TEXT NOT NULL,
    name TEXT NOT NULL,
    position BIGINT NOT NULL,
    extension_install_id TEXT REFERENCES installs (id),
    url TEXT,
    payload_version BIGINT,
    keys TEXT,
    written_for TEXT,
    is_enabled BOOLEAN NOT NULL,
    mode TEXT NOT NULL CHECK (mode IN ('active', 'shadow')),
    on_failure TEXT CHECK (on_failure IN ('refuse', 'skip', 'default', 'retry')),
    deadline_ms BIGINT,
    fuel BIGINT,
    fuel_per_item BIGINT,
    memory BIGINT,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (app_install_id, point, name),
    CHECK ((extension_install_id IS NULL) <> (url IS NULL)),
    CHECK ((url IS NULL) = (keys IS NULL) AND (url IS NULL) = (payload_version IS NULL)),
    CHECK ((url IS NULL) = (written_for IS NULL))
);

CREATE INDEX hooks_instance ON hooks (instance_id);
CREATE INDEX hooks_extension ON hooks (extension_install_id);
