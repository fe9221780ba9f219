-- Lists are sorted and filtered by it.
CREATE INDEX customer_registered ON customer (registered_at, id);
