-- Since when the oldest event of a policy has been waiting for its turn, as the replica that runs it
-- says: the others admit nothing new while that is long.
ALTER TABLE checkpoint ADD COLUMN waiting_since timestamptz;
