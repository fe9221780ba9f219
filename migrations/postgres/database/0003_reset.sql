-- When a subscription began, or was last put somewhere else by a rebuild: a replica under which the log
-- went back stops it until this is later than what it knew.
ALTER TABLE checkpoint ADD COLUMN reset_at timestamptz NOT NULL DEFAULT 'epoch';
-- Since when it is stopped for that reason, for every replica.
ALTER TABLE checkpoint ADD COLUMN stopped_at timestamptz;
