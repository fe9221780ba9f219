-- When a subscription began, or was last put somewhere else by a rebuild: a replica under which the log
-- went back stops it until this is later than what it knew.
ALTER TABLE checkpoint ADD COLUMN reset_at TEXT NOT NULL DEFAULT '1970-01-01T00:00:00.000+00:00';
-- Since when it is stopped for that reason, for every replica.
ALTER TABLE checkpoint ADD COLUMN stopped_at TEXT;
