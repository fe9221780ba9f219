//! Lists that are sorted by a date: compares responses with the same items sorted here, and checks the
//! query plans of their statements.

use actix_web::test::TestRequest;
use chrono::{DateTime, Utc};
use database::{Database, Engine, Statement};
use kernel::execution::{Cause, Environment};
use kernel::seams::new_id;
use kernel::sync::{LegacyReference, LegacyState, SyncOutcome, SyncRequest};
use serde_json::Value;
use uuid::Uuid;
use web_api::ListStatements;

use crate::Client;

/// The date and the id of an item.
type Key = (DateTime<Utc>, Uuid);

/// A list that can be sorted by a date.
pub struct DatedList<'a> {
    /// A client of the list's module.
    pub client: &'a Client,
    /// The environment of the list's module.
    pub environment: &'a Environment,
    /// Its path.
    pub path: &'a str,
    /// The date field, such as `placed_at`.
    pub date: &'a str,
    /// The prefix of the names of the bounds, such as `placed`.
    pub bounds: &'a str,
}

impl DatedList<'_> {
    /// Tests every sort, with and without each of the filters and bounds, in pages of several sizes,
    /// and cursors of other lists. Some items must have the same date.
    pub async fn is_sorted(&self, filters: &[&str]) {
        for filter in [""].iter().chain(filters) {
            let mut expected = self.pages(&format!("limit=200{filter}")).await;
            assert!(expected.len() > 2, "{} items with {filter:?}", expected.len());
            expected.sort_unstable();
            let pairs = expected.windows(2);
            let ties = pairs.filter(|pair| pair[0].0 == pair[1].0).count();
            assert!(ties > 0, "no two items of {filter:?} have the same date");
            self.is_sorted_as(filter, &expected).await;
        }
        self.cursors_belong_to_their_list(filters).await;
        let Self { date, bounds, .. } = self;
        for refused in [
            "sort=colour",
            "sort=",
            &format!("sort=--{date}"),
            &format!("{bounds}_from=yesterday"),
            &format!("{bounds}_before=2025-02-30"),
        ] {
            let answer = self.get(refused).await.problem(400, "invalid-parameter");
            assert_eq!(answer.fields(), [refused.split('=').next().unwrap()]);
        }
    }

    async fn is_sorted_as(&self, filter: &str, expected: &[Key]) {
        let Self { date, bounds, .. } = self;
        let newest: Vec<Key> = expected.iter().rev().copied().collect();
        for limit in [1, 2, 3, 200] {
            let oldest_first = format!("sort={date}&limit={limit}{filter}");
            assert_eq!(self.pages(&oldest_first).await, expected, "{oldest_first}");
            let newest_first = format!("sort=-{date}&limit={limit}{filter}");
            assert_eq!(self.pages(&newest_first).await, newest, "{newest_first}");
        }
        // Every date of the list, as the lower and the upper bound.
        for (bound, _) in expected {
            let bound = bound.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true);
            let at: DateTime<Utc> = bound.parse().unwrap();
            let (before, from): (Vec<Key>, Vec<Key>) =
                expected.iter().partition(|(date, _)| *date < at);
            for sort in ["", &format!("sort=-{date}&")] {
                let query = format!("{sort}{bounds}_before={bound}&limit=2{filter}");
                let newest: Vec<Key> = before.iter().rev().copied().collect();
                assert_eq!(self.pages(&query).await, newest, "{query}");
            }
            let query = format!("sort={date}&{bounds}_from={bound}&limit=2{filter}");
            assert_eq!(self.pages(&query).await, from, "{query}");
            let both = format!("{bounds}_from={bound}&{bounds}_before={bound}{filter}");
            assert!(self.pages(&both).await.is_empty(), "{both}");
        }
    }

    async fn cursors_belong_to_their_list(&self, filters: &[&str]) {
        let Self { date, bounds, .. } = self;
        let sorted = format!("sort={date}");
        let cursor = self.cursor(&format!("{sorted}&limit=1")).await;
        let recorded = self.cursor("limit=1").await;
        let bounded = format!("{sorted}&{bounds}_from=1990-01-01");
        for other in ["limit=1", &format!("sort=-{date}"), &bounded] {
            self.get(&format!("{other}&cursor={cursor}")).await.problem(422, "cursor-mismatch");
        }
        for filter in filters {
            let other = format!("{sorted}{filter}&cursor={cursor}");
            self.get(&other).await.problem(422, "cursor-mismatch");
        }
        for other in [&sorted, &bounded] {
            self.get(&format!("{other}&cursor={recorded}")).await.problem(422, "cursor-mismatch");
        }
        self.get(&format!("{sorted}&cursor=x")).await.problem(400, "invalid-parameter");
        // Pages of another size, and parameters in another order, are the same list.
        self.get(&format!("cursor={cursor}&{sorted}&limit=7")).await.is(200);
    }

    /// Returns the cursor after the first page of a list.
    async fn cursor(&self, query: &str) -> String {
        let page = self.get(query).await.is(200);
        let link = page.header("link").split('>').next().unwrap().to_owned();
        link.split("cursor=").nth(1).unwrap().to_owned()
    }

    /// Returns all pages, once everything recorded so far is visible.
    async fn pages(&self, query: &str) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut next = Some(format!("{}?{query}", self.path));
        while let Some(path) = next {
            let page = self.read(&path).await.is(200);
            let items = page.body["items"].as_array().unwrap();
            keys.extend(items.iter().map(|item| {
                let text = |name: &str| item[name].as_str().unwrap().to_owned();
                (text(self.date).parse().unwrap(), text("id").parse().unwrap())
            }));
            next = page.headers.get("link").map(|link| {
                let link = link.to_str().unwrap().split('>').next().unwrap();
                link.trim_start_matches('<').to_owned()
            });
        }
        keys
    }

    /// Returns the ids of all items, once everything recorded so far is visible.
    pub async fn ids(&self, query: &str) -> Vec<Uuid> {
        self.pages(query).await.into_iter().map(|(_, id)| id).collect()
    }

    async fn get(&self, query: &str) -> crate::Answer {
        self.read(&format!("{}?{query}", self.path)).await
    }

    async fn read(&self, path: &str) -> crate::Answer {
        let head = self.environment.store.head().await.unwrap();
        let request = TestRequest::get().uri(path);
        self.client.send(request.insert_header(("Bascule-Min-Position", head.to_string()))).await
    }
}

/// Imports a legacy state into a module.
pub async fn import(module: &module::OpenModule, id: Uuid, state: Value) {
    let legacy = LegacyReference { source: "gescom".to_owned(), id: id.to_string() };
    let state = LegacyState::Present(state);
    let cause = Cause::request(new_id(), "import");
    let outcome = module.sync_targets[0].sync(SyncRequest { id, legacy, state, cause }).await;
    let outcome = outcome.unwrap();
    assert!(matches!(outcome, SyncOutcome::Imported | SyncOutcome::Revised(_)), "{outcome:?}");
}

/// Checks that the statements of lists can be prepared, and that each uses its index: that of the log's
/// order, or that of the dates.
pub async fn use_their_indexes(database: &Database, engine: Engine, lists: &[ListStatements]) {
    for list in lists {
        let ListStatements { recorded_index, dated_index, .. } = list;
        let leaves_few = recorded_index == dated_index;
        for (statement, index) in [
            (&list.recorded, recorded_index),
            (&list.oldest_first, dated_index),
            (&list.newest_first, dated_index),
        ] {
            database.prepare(statement).await.unwrap();
            let plan = plan(database, engine, statement).await;
            let has = |word: &str| plan.iter().any(|step| step.contains(word));
            assert!(!has("SCAN ") && !has("Seq Scan"), "{statement:?} reads a table: {plan:#?}");
            // PostgreSQL is not checked: it cannot know how few they are.
            if !leaves_few || engine == Engine::Sqlite {
                assert!(has(index), "{statement:?} does not use {index}: {plan:#?}");
            }
            let sorts = has("TEMP B-TREE") || has("Sort Key");
            assert!(leaves_few || !sorts, "{statement:?} sorts what it finds: {plan:#?}");
        }
    }
}

/// Returns an engine's plan for a statement. PostgreSQL is kept from scanning and sorting whole tables,
/// which it does while they are as small as in tests.
pub async fn plan(database: &Database, engine: Engine, statement: &Statement) -> Vec<String> {
    let mut transaction = database.begin().await.unwrap();
    let text = statement.text(engine);
    let explain = match engine {
        Engine::Sqlite => format!("EXPLAIN QUERY PLAN {text}"),
        Engine::Postgres => {
            let parameters =
                (1..).take_while(|number| text.contains(&format!("${number}"))).count();
            let values = vec!["NULL"; parameters].join(", ");
            for setting in [
                "SET LOCAL enable_seqscan = off",
                "SET LOCAL enable_sort = off",
                "SET LOCAL enable_bitmapscan = off",
                "SET LOCAL plan_cache_mode = force_generic_plan",
                &format!("PREPARE explained AS {text}"),
            ] {
                execute(&mut transaction, setting).await;
            }
            format!("EXPLAIN EXECUTE explained({values})")
        }
    };
    let column = if engine == Engine::Sqlite { "detail" } else { "QUERY PLAN" };
    let explain = Statement::Same(explain.leak());
    let rows = transaction.query(&explain).fetch_all().await.unwrap();
    let steps = rows.iter().map(|row| row.get(column).unwrap()).collect();
    if engine == Engine::Postgres {
        execute(&mut transaction, "DEALLOCATE explained").await;
    }
    transaction.rollback().await.unwrap();
    steps
}

async fn execute(transaction: &mut database::Transaction, text: &str) {
    let statement = Statement::Same(text.to_owned().leak());
    transaction.query(&statement).execute().await.unwrap();
}
