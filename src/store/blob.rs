//! Large values inside a row's JSON are stored once, by hash, and referred to as `{"$blob": "<hash>"}`.
//!
//! An execution's state is written again at every event while the customer's profile inside it stays the same:
//! by hash it costs 80 bytes instead of 20 KiB a step. A value counts as large over [`LIMIT`] bytes, or when it
//! is nested so deeply that what surrounds it could push it over the JSON reader's limit of 128 levels.
//! User data that looks like a reference gets one more `$` and loses it on the way back.
//!
//! Deliberately absent: collection of values that nothing refers to any more. That is retention's work.

use std::collections::HashSet;

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::StoreError;
use crate::types::ShopId;

/// Bytes of JSON that stay in the row.
pub(super) const LIMIT: usize = 1024;
/// Levels of nesting that stay in the row.
const NESTING: usize = 32;
/// `context.widgets.NAME.parsed`: what lies above in an execution's state changes too often to be worth a hash.
pub(super) const STATE_LEVELS: usize = 4;
/// A step's delta maps dotted paths to values: each value is whole.
pub(super) const DELTA_LEVELS: usize = 1;
/// Hashes that the writer remembers as stored; forgotten all at once when it is full.
const REMEMBERED: usize = 4096;

/// A value that must be in table `blob` before the row that refers to it.
pub(super) struct Large {
    pub(super) hash: String,
    pub(super) text: String,
}

/// Takes large values out. Containers above `levels` are walked into, below they are taken whole.
pub(super) fn split(value: &Value, levels: usize, out: &mut Vec<Large>) -> Value {
    if !is_large(value) {
        return escape_all(value);
    }
    match value {
        Value::Object(map) if levels > 0 => {
            let map = map.iter().map(|(k, v)| (k.clone(), split(v, levels - 1, out))).collect();
            Value::Object(escape_one(map))
        }
        Value::Array(items) if levels > 0 => {
            Value::Array(items.iter().map(|v| split(v, levels - 1, out)).collect())
        }
        Value::Object(_) | Value::Array(_) | Value::String(_) => {
            let text = value.to_string();
            let hash = hash(&text);
            let reference = Value::String(hash.clone());
            out.push(Large { hash, text });
            Value::Object(Map::from_iter([("$blob".to_owned(), reference)]))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Puts large values back.
pub(super) fn join(conn: &Connection, shop: &ShopId, value: Value) -> Result<Value, StoreError> {
    match value {
        Value::Object(map) => {
            let mut plain = Map::with_capacity(map.len());
            let alone = map.len() == 1;
            for (key, inner) in map {
                if alone && is_reserved(&key) {
                    if let ("$blob", Value::String(hash)) = (key.as_str(), &inner) {
                        return fetch(conn, shop, hash);
                    }
                    plain.insert(key.get(1..).unwrap_or_default().to_owned(), join(conn, shop, inner)?);
                } else {
                    plain.insert(key, join(conn, shop, inner)?);
                }
            }
            Ok(Value::Object(plain))
        }
        Value::Array(items) => {
            Ok(Value::Array(items.into_iter().map(|v| join(conn, shop, v)).collect::<Result<_, _>>()?))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Ok(value),
    }
}

fn fetch(conn: &Connection, shop: &ShopId, hash: &str) -> Result<Value, StoreError> {
    let mut query = conn.prepare_cached("SELECT value FROM blob WHERE shop_id = ?1 AND hash = ?2")?;
    let found = query.query_row(params![shop, hash], |row| row.get::<_, super::codec::Json>(0)).optional()?;
    found
        .map(|json| json.0)
        .ok_or_else(|| StoreError::MissingBlob { shop: shop.to_string(), hash: hash.to_owned() })
}

/// Which hashes are known to be stored, so that they are not written again.
#[derive(Default)]
pub(super) struct Remembered(HashSet<(ShopId, String)>);

impl Remembered {
    /// Inserts what is new.
    pub(super) fn store(
        &mut self,
        conn: &Connection,
        shop: &ShopId,
        values: Vec<Large>,
    ) -> rusqlite::Result<()> {
        for Large { hash, text } in values {
            let key = (shop.clone(), hash);
            if self.0.contains(&key) {
                continue;
            }
            conn.prepare_cached(
                "INSERT INTO blob (shop_id, hash, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
            )?
            .execute(params![shop, key.1, text])?;
            if self.0.len() >= REMEMBERED {
                self.0.clear();
            }
            self.0.insert(key);
        }
        Ok(())
    }

    /// After a rollback: what was stored in it is not.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `$blob`, `$$blob`, …
fn is_reserved(key: &str) -> bool {
    key.starts_with('$') && key.trim_start_matches('$') == "blob"
}

fn escape_one(map: Map<String, Value>) -> Map<String, Value> {
    if map.len() == 1 {
        map.into_iter().map(|(k, v)| (if is_reserved(&k) { format!("${k}") } else { k }, v)).collect()
    } else {
        map
    }
}

fn escape_all(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            Value::Object(escape_one(map.iter().map(|(k, v)| (k.clone(), escape_all(v))).collect()))
        }
        Value::Array(items) => Value::Array(items.iter().map(escape_all).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

fn is_large(value: &Value) -> bool {
    let mut left = LIMIT;
    !fits(value, &mut left, NESTING)
}

/// Stops as soon as the answer is known, so that a large value costs no more than a small one.
fn fits(value: &Value, left: &mut usize, nesting: usize) -> bool {
    let own = match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(_) => 8,
        Value::String(text) => text.len() + 2,
        Value::Array(items) => items.len() + 2,
        Value::Object(map) => map.keys().map(|k| k.len() + 4).sum::<usize>() + 2,
    };
    if own > *left || nesting == 0 {
        return false;
    }
    *left -= own;
    match value {
        Value::Array(items) => items.iter().all(|v| fits(v, left, nesting - 1)),
        Value::Object(map) => map.values().all(|v| fits(v, left, nesting - 1)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn database() -> Connection {
        let conn = Connection::open_in_memory().unwrap();
        super::super::schema::sql_for_tests(1).for_each(|sql| conn.execute_batch(sql).unwrap());
        conn
    }

    fn there_and_back(conn: &Connection, value: &Value, levels: usize) -> (Value, Value) {
        let shop = ShopId::from("main");
        let mut large = Vec::new();
        let inline = split(value, levels, &mut large);
        Remembered::default().store(conn, &shop, large).unwrap();
        let text = inline.to_string();
        let back = join(conn, &shop, serde_json::from_str(&text).unwrap()).unwrap();
        (inline, back)
    }

    fn profile() -> Value {
        let equipment: Vec<Value> = (0..60)
            .map(|i| json!({"id": i, "model": format!("Model {i}"), "serial": "SN-0123456789"}))
            .collect();
        json!({"name": "Jane", "equipment": equipment})
    }

    #[test]
    fn a_profile_is_stored_once_for_every_state_and_delta_that_holds_it() {
        let conn = database();
        for turn in 0..5 {
            let state = json!({"turn": turn, "context": {"widgets": {"get": {"parsed": profile()}}}});
            let (inline, back) = there_and_back(&conn, &state, STATE_LEVELS);
            assert_eq!(back, state);
            assert!(inline.to_string().len() < 200, "{inline}");
        }
        let delta = json!({"widgets.get.parsed": profile()});
        assert_eq!(there_and_back(&conn, &delta, DELTA_LEVELS).1, delta);
        let count: i64 = conn.query_row("SELECT count(*) FROM blob", [], |r| r.get(0)).unwrap();
        assert_eq!(count, 1);
    }

    #[test]
    fn a_customer_who_writes_a_reference_gets_his_words_back() {
        let conn = database();
        let value = json!({"a": {"$blob": "0000"}, "b": [{"$$blob": {"$blob": 1}}], "$blob": "x"});
        assert_eq!(there_and_back(&conn, &value, STATE_LEVELS).1, value);
        let alone = json!({"$blob": "x".repeat(3000)});
        assert_eq!(there_and_back(&conn, &alone, STATE_LEVELS).1, alone);
    }

    #[test]
    fn deep_nesting_is_kept_apart_so_that_the_state_around_it_can_be_read() {
        let conn = database();
        let mut deep = json!(1);
        for _ in 0..125 {
            deep = json!([deep]);
        }
        let state = json!({"context": {"widgets": {"get": {"parsed": deep}}}});
        assert_eq!(there_and_back(&conn, &state, STATE_LEVELS).1, state);
    }

    #[test]
    fn a_missing_value_is_a_named_error() {
        let conn = database();
        let wrong = join(&conn, &ShopId::from("main"), json!({"x": {"$blob": "feed"}}));
        assert!(matches!(wrong, Err(StoreError::MissingBlob { hash, .. }) if hash == "feed"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let text = prop_oneof!["[a-z$\"\\\\é]{0,12}", "[x]{1000,1100}"];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            let key = prop_oneof![Just("$blob".to_owned()), Just("$$blob".to_owned()), "[a-c]{1,3}"];
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::vec((key, inner), 0..4)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_comes_back_as_it_was(value in any_json(), levels in 0usize..6) {
            let conn = database();
            prop_assert_eq!(there_and_back(&conn, &value, levels).1, value);
        }
    }
}
