//! Every backend keeps the event store's promises. One line per backend.
#![allow(missing_docs)]

testkit::event_store_contract!(memory, testkit::stores::TestStore::memory());
testkit::event_store_contract!(sqlite, testkit::stores::TestStore::sqlite());
testkit::event_store_contract!(postgres, testkit::stores::TestStore::postgres());
testkit::shared_store_contract!(shared_sqlite, testkit::stores::TestStore::sqlite());
testkit::shared_store_contract!(shared_postgres, testkit::stores::TestStore::postgres());
testkit::near_store_contract!(near_memory, testkit::stores::TestStore::memory());
testkit::near_store_contract!(near_sqlite, testkit::stores::TestStore::sqlite());
testkit::near_store_contract!(near_postgres, testkit::stores::TestStore::postgres());
