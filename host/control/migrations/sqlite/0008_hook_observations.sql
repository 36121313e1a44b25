-- What the data plane has seen of hooks. A row begins anew with each release of the extension, so that one release
-- is not judged by another; a hook without a row has given no reason for one.
-- `failures_of_last` is how many of the last hundred calls had failed when the state changed.
CREATE TABLE hook_observations (
    hook_id TEXT PRIMARY KEY REFERENCES hooks (id) ON DELETE CASCADE,
    state TEXT NOT NULL CHECK (state IN ('active', 'tripped', 'probing')),
    changed_at BIGINT NOT NULL,
    failures_of_last BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    last_failure_at BIGINT,
    last_failure TEXT,
    compared BIGINT NOT NULL,
    different BIGINT NOT NULL
);

-- Where a hook that practises said something else than what was used; the newest of each hook.
CREATE TABLE hook_differences (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    hook_id TEXT NOT NULL REFERENCES hooks (id) ON DELETE CASCADE,
    at BIGINT NOT NULL,
    call TEXT NOT NULL,
    arguments TEXT NOT NULL,
    expected TEXT NOT NULL,
    got TEXT NOT NULL
);

CREATE INDEX hook_differences_hook ON hook_differences (hook_id, sequence);
