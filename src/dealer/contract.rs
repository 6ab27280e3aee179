//! The shapes of the contract (`openapi.yaml`): what a profile, transactions and an order's answer are.
//!
//! Lenient where nothing is lost: a number where text is promised is read as text, an optional field of a wrong
//! type is left out and counted, an entry of a list without its id is left out and counted, missing lists are
//! empty lists, fields that the contract does not know are handed on. Strict where it matters: without
//! `customer_id` there is no profile, without `order_id` no confirmed order, and an order that is looked for
//! is [`LookUpResult::Absent`] only when the list that it would be in was really there and shows references.

use serde::Serialize;
use serde_json::{Map, Value};

use crate::types::{LookUpResult, OrderId, OrderKind};

/// What was read, and how much of it was left out.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Read<T> {
    pub(super) value: T,
    /// Fields and entries of wrong types, and entries without their id.
    pub(super) dropped: u32,
}

/// `GET /api/customers/by-phone/{phone}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Profile {
    customer_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    equipment: Vec<Equipment>,
    addresses: Addresses,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Equipment {
    equipment_id: String,
    make: Option<String>,
    model: Option<String>,
    unit_type: Option<String>,
    serial_number: Option<String>,
    sku: Option<String>,
    status: Option<String>,
    resources: Resources,
    parts_catalog: Vec<Part>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Resources {
    #[serde(skip_serializing_if = "Option::is_none")]
    tutorial_video_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owners_manual_url: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Part {
    part_number: String,
    description: Option<String>,
    price: Option<Value>,
    availability: Option<String>,
    /// A rank: 1 is ordered most.
    popularity: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Addresses {
    /// Left out when it is not known: templates ask `if addresses.primary`.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary: Option<Address>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Address {
    street: String,
    city: Option<String>,
    state: Option<String>,
    zip: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// `GET /api/customers/{id}/transactions`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Transactions {
    service_orders: Vec<ServiceOrder>,
    parts_orders: Vec<PartsOrder>,
    invoices: Vec<Invoice>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ServiceOrder {
    order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    equipment_id: Option<String>,
    equipment_name: Option<String>,
    equipment_serial: Option<String>,
    status: Option<String>,
    description: Option<String>,
    estimated_completion: Option<String>,
    invoice: Links,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct PartsOrder {
    order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_reference: Option<String>,
    equipment_name: Option<String>,
    status: Option<String>,
    tracking_number: Option<String>,
    items: Vec<Item>,
    total: Option<Value>,
    estimated_delivery: Option<String>,
    invoice: Links,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Item {
    part_number: Option<String>,
    description: Option<String>,
    quantity: Option<Value>,
    price: Option<Value>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct Links {
    #[serde(skip_serializing_if = "Option::is_none")]
    invoice_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment_url: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct Invoice {
    invoice_id: String,
    order_id: Option<String>,
    /// `unit_sale`, `service`, `parts`.
    r#type: Option<String>,
    equipment_name: Option<String>,
    description: Option<String>,
    status: Option<String>,
    amount: Option<Value>,
    created_date: Option<String>,
    due_date: Option<String>,
    invoice_url: Option<String>,
    payment_url: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Reads a profile.
pub(super) fn profile(value: Value) -> Result<Read<Profile>, String> {
    let mut fields = Fields::of(value, "a profile")?;
    let profile = Profile {
        customer_id: fields.id("customer_id").ok_or("the profile has no customer_id")?,
        name: fields.text("name"),
        phone: fields.text("phone"),
        equipment: fields.list("equipment", equipment),
        addresses: fields.object("addresses", |f| {
            Some(Addresses { primary: f.optional("primary", address), rest: f.rest() })
        }),
        rest: fields.rest(),
    };
    Ok(Read { value: profile, dropped: fields.dropped })
}

fn equipment(fields: &mut Fields) -> Option<Equipment> {
    Some(Equipment {
        equipment_id: fields.id("equipment_id")?,
        make: fields.text("make"),
        model: fields.text("model"),
        unit_type: fields.text("unit_type"),
        serial_number: fields.text("serial_number"),
        sku: fields.text("sku"),
        status: fields.text("status"),
        resources: fields.object("resources", |f| {
            Some(Resources {
                tutorial_video_url: f.link("tutorial_video_url"),
                owners_manual_url: f.link("owners_manual_url"),
                rest: f.rest(),
            })
        }),
        parts_catalog: fields.list("parts_catalog", part),
        rest: fields.rest(),
    })
}

fn part(fields: &mut Fields) -> Option<Part> {
    Some(Part {
        part_number: fields.id("part_number")?,
        description: fields.text("description"),
        price: fields.amount("price"),
        availability: fields.text("availability"),
        popularity: fields.amount("popularity"),
        rest: fields.rest(),
    })
}

fn address(fields: &mut Fields) -> Option<Address> {
    Some(Address {
        street: fields.id("street")?,
        city: fields.text("city"),
        state: fields.text("state"),
        zip: fields.text("zip"),
        rest: fields.rest(),
    })
}

/// Reads transactions. At least one of the three lists must be there: `{}` is what anybody answers.
pub(super) fn transactions(value: Value) -> Result<Read<Transactions>, String> {
    let mut fields = Fields::of(value, "transactions")?;
    let lists = ["service_orders", "parts_orders", "invoices"];
    if !lists.iter().any(|list| fields.map.get(*list).is_some_and(Value::is_array)) {
        return Err("the transactions have none of their lists".to_owned());
    }
    let transactions = Transactions {
        service_orders: fields.list("service_orders", service_order),
        parts_orders: fields.list("parts_orders", parts_order),
        invoices: fields.list("invoices", invoice),
        rest: fields.rest(),
    };
    Ok(Read { value: transactions, dropped: fields.dropped })
}

fn service_order(fields: &mut Fields) -> Option<ServiceOrder> {
    Some(ServiceOrder {
        order_id: fields.id("order_id")?,
        client_reference: fields.text("client_reference"),
        equipment_id: fields.text("equipment_id"),
        equipment_name: fields.text("equipment_name"),
        equipment_serial: fields.text("equipment_serial"),
        status: fields.text("status"),
        description: fields.text("description"),
        estimated_completion: fields.text("estimated_completion"),
        invoice: fields.object("invoice", links),
        rest: fields.rest(),
    })
}

fn parts_order(fields: &mut Fields) -> Option<PartsOrder> {
    Some(PartsOrder {
        order_id: fields.id("order_id")?,
        client_reference: fields.text("client_reference"),
        equipment_name: fields.text("equipment_name"),
        status: fields.text("status"),
        tracking_number: fields.text("tracking_number"),
        items: fields.list("items", |f| {
            Some(Item {
                part_number: f.text("part_number"),
                description: f.text("description"),
                quantity: f.amount("quantity"),
                price: f.amount("price"),
                rest: f.rest(),
            })
        }),
        total: fields.amount("total"),
        estimated_delivery: fields.text("estimated_delivery"),
        invoice: fields.object("invoice", links),
        rest: fields.rest(),
    })
}

fn links(fields: &mut Fields) -> Option<Links> {
    Some(Links {
        invoice_url: fields.link("invoice_url"),
        payment_url: fields.link("payment_url"),
        rest: fields.rest(),
    })
}

fn invoice(fields: &mut Fields) -> Option<Invoice> {
    Some(Invoice {
        invoice_id: fields.id("invoice_id")?,
        order_id: fields.text("order_id"),
        r#type: fields.text("type"),
        equipment_name: fields.text("equipment_name"),
        description: fields.text("description"),
        status: fields.text("status"),
        amount: fields.amount("amount"),
        created_date: fields.text("created_date"),
        due_date: fields.text("due_date"),
        invoice_url: fields.link("invoice_url"),
        payment_url: fields.link("payment_url"),
        rest: fields.rest(),
    })
}

/// Reads what an order was answered with: the same fields at the top whether it is a POST's answer or an entry of
/// the transactions (which has its links under `invoice`). `None` without an `order_id`.
pub(super) fn order_answer(entry: &Map<String, Value>) -> Option<Map<String, Value>> {
    let mut fields = Fields { map: entry.clone(), dropped: 0 };
    let order_id = fields.id("order_id")?;
    let nested = fields.map.get("invoice").and_then(Value::as_object).cloned().unwrap_or_default();
    let mut nested = Fields { map: nested, dropped: 0 };
    let mut answer = Map::new();
    answer.insert("order_id".to_owned(), Value::String(order_id));
    for name in ["status", "estimated_delivery", "estimated_completion"] {
        if let Some(text) = fields.text(name) {
            answer.insert(name.to_owned(), Value::String(text));
        }
    }
    if let Some(total) = fields.amount("total") {
        answer.insert("total".to_owned(), total);
    }
    for name in ["invoice_url", "payment_url"] {
        if let Some(link) = fields.link(name).or_else(|| nested.link(name)) {
            answer.insert(name.to_owned(), Value::String(link));
        }
    }
    for (name, value) in fields.rest() {
        answer.entry(name).or_insert(value);
    }
    Some(answer)
}

/// Looks for an order in transactions. Where nothing can be learnt it says so: a wrong "absent" is a second order.
pub(super) fn find_order(transactions: &Value, kind: OrderKind, order: &OrderId) -> LookUpResult {
    let list = match kind {
        OrderKind::Service => "service_orders",
        OrderKind::Parts => "parts_orders",
    };
    let Some(entries) = transactions.get(list).and_then(Value::as_array) else {
        return LookUpResult::Unreachable { why: format!("the transactions have no {list}") };
    };
    let (mut shown, mut unreadable) = (false, false);
    for entry in entries {
        let Some(entry) = entry.as_object() else {
            unreadable = true;
            continue;
        };
        match entry.get("client_reference") {
            Some(Value::String(reference)) if reference == order.as_str() => {
                return match order_answer(entry) {
                    Some(answer) => LookUpResult::Found(answer),
                    None => LookUpResult::Unreachable {
                        why: "our order is listed without an order_id".to_owned(),
                    },
                };
            }
            // Ours is text: another type that cannot hold it is somebody else's.
            Some(Value::String(_) | Value::Null | Value::Number(_) | Value::Bool(_)) => shown = true,
            Some(Value::Array(_) | Value::Object(_)) => unreadable = true,
            None => {}
        }
    }
    if unreadable {
        return LookUpResult::Unreachable { why: format!("{list} has entries that cannot be read") };
    }
    // An empty list shows nothing either way: whoever asked knows from elsewhere that references are supported.
    if shown || entries.is_empty() { LookUpResult::Absent } else { LookUpResult::NotSupported }
}

/// True when an order in these transactions (as a fetch answered them) carries one of our references: the dealer
/// keeps them. For [`crate::types::Capabilities::merged`].
#[must_use]
pub fn shows_references(body: &str) -> bool {
    // `OR` and 32 hex digits, `types::OrderId`.
    let ours = |text: &str| {
        text.strip_prefix("OR")
            .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    let Ok(Value::Object(transactions)) = serde_json::from_str::<Value>(body) else { return false };
    ["service_orders", "parts_orders"]
        .iter()
        .filter_map(|list| transactions.get(*list).and_then(Value::as_array))
        .flatten()
        .filter_map(|order| order.get("client_reference").and_then(Value::as_str))
        .any(ours)
}

/// A JSON object that is taken apart field by field; what is left is handed on as it is.
struct Fields {
    map: Map<String, Value>,
    dropped: u32,
}

impl Fields {
    fn of(value: Value, what: &str) -> Result<Self, String> {
        match value {
            Value::Object(map) => Ok(Self { map, dropped: 0 }),
            _ => Err(format!("{what} is not a JSON object")),
        }
    }

    /// Takes a field; `null` is the same as missing.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    fn wrong<T>(&mut self) -> Option<T> {
        self.dropped = self.dropped.saturating_add(1);
        None
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => self.wrong(),
        }
    }

    /// Text that is not blank.
    fn id(&mut self, name: &str) -> Option<String> {
        self.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }

    /// A number, or text that is one (`"24.90"` keeps its zero).
    fn amount(&mut self, name: &str) -> Option<Value> {
        match self.take(name)? {
            Value::Number(number) => Some(Value::Number(number)),
            Value::String(text) if text.trim().parse::<f64>().is_ok_and(f64::is_finite) => {
                Some(Value::String(text.trim().to_owned()))
            }
            _ => self.wrong(),
        }
    }

    /// A web address that can stand in a text. Blank is the same as missing.
    fn link(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text)
                if (text.starts_with("https://") || text.starts_with("http://"))
                    && !text.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Some(text)
            }
            _ => self.wrong(),
        }
    }

    /// The entries that can be read; a missing list is empty.
    fn list<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> Option<T>) -> Vec<T> {
        let entries = match self.take(name) {
            Some(Value::Array(entries)) => entries,
            None => return Vec::new(),
            Some(_) => return self.wrong().unwrap_or_default(),
        };
        entries.into_iter().filter_map(|entry| self.nested(entry, &read)).collect()
    }

    fn optional<T>(&mut self, name: &str, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let value = self.take(name)?;
        self.nested(value, read)
    }

    fn object<T: Default>(&mut self, name: &str, read: impl Fn(&mut Self) -> Option<T>) -> T {
        self.optional(name, read).unwrap_or_default()
    }

    fn nested<T>(&mut self, value: Value, read: impl Fn(&mut Self) -> Option<T>) -> Option<T> {
        let Value::Object(map) = value else { return self.wrong() };
        let mut fields = Self { map, dropped: 0 };
        let read = read(&mut fields);
        self.dropped = self.dropped.saturating_add(fields.dropped);
        if read.is_none() { self.wrong() } else { read }
    }

    fn rest(&mut self) -> Map<String, Value> {
        std::mem::take(&mut self.map)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn cleaned(value: Value) -> (Value, u32) {
        let read = profile(value).unwrap();
        (serde_json::to_value(read.value).unwrap(), read.dropped)
    }

    #[test]
    fn a_profile_without_customer_id_is_none() {
        for nonsense in [
            json!({}),
            json!({ "customer_id": "" }),
            json!({ "customer_id": {} }),
            json!([]),
            json!("hello"),
            json!(null),
        ] {
            assert!(profile(nonsense.clone()).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn missing_lists_are_empty_and_a_missing_address_stays_missing() {
        let (value, dropped) = cleaned(json!({ "customer_id": 17 }));
        assert_eq!(value, json!({ "customer_id": "17", "equipment": [], "addresses": {} }));
        assert_eq!(dropped, 0);
        let (value, _) = cleaned(json!({ "customer_id": "1", "addresses": { "primary": null } }));
        assert_eq!(value["addresses"], json!({}));
    }

    #[test]
    fn wrong_types_of_optional_fields_are_left_out_and_counted_and_the_rest_is_served() {
        let (value, dropped) = cleaned(json!({
            "customer_id": "C-1", "name": ["Dana"], "loyalty": { "points": 3 },
            "equipment": [
                "a mower",
                { "make": "Honda" },
                { "equipment_id": "EQ1", "make": true, "model": "HRX217", "parts_catalog": "none",
                  "resources": { "owners_manual_url": "javascript:alert(1)" } },
                { "equipment_id": "EQ2", "parts_catalog": [
                    { "part_number": "P1", "price": "24.90", "popularity": 1 },
                    { "part_number": "P2", "price": "call us" },
                    { "description": "no number" } ] },
            ],
            "addresses": { "primary": { "street": "1 Main St", "zip": 98101 } },
        }));
        assert_eq!(dropped, 8);
        assert_eq!(value["loyalty"]["points"], 3);
        assert_eq!(value["equipment"].as_array().unwrap().len(), 2);
        assert_eq!(value["equipment"][0]["parts_catalog"], json!([]));
        assert_eq!(value["equipment"][0]["resources"], json!({}));
        assert_eq!(value["equipment"][1]["parts_catalog"][0]["price"], "24.90");
        assert_eq!(value["equipment"][1]["parts_catalog"][1]["price"], json!(null));
        assert_eq!(value["addresses"]["primary"]["zip"], "98101");
    }

    #[test]
    fn transactions_need_one_of_their_lists() {
        assert!(transactions(json!({})).is_err());
        assert!(transactions(json!({ "service_orders": "none" })).is_err());
        let read = transactions(json!({ "invoices": [{ "invoice_id": 7, "amount": 12.5 }, {}] })).unwrap();
        assert_eq!(read.dropped, 1);
        let value = serde_json::to_value(read.value).unwrap();
        assert_eq!(value["service_orders"], json!([]));
        assert_eq!(value["invoices"][0]["invoice_id"], "7");
        assert_eq!(value["invoices"][0]["amount"], 12.5);
    }

    #[test]
    fn an_orders_answer_is_the_same_from_a_post_and_from_the_transactions() {
        let post = json!({ "order_id": 5, "total": 12.5, "invoice_url": "https://x/i", "payment_url": "https://x/p" });
        let entry = json!({ "order_id": "5", "total": 12.5, "invoice": { "invoice_url": "https://x/i", "payment_url": "https://x/p" } });
        let post = order_answer(post.as_object().unwrap()).unwrap();
        let entry = order_answer(entry.as_object().unwrap()).unwrap();
        for name in ["order_id", "total", "invoice_url", "payment_url"] {
            assert_eq!(post[name], entry[name], "{name}");
        }
        assert_eq!(order_answer(json!({ "status": "ok" }).as_object().unwrap()), None);
    }

    #[test]
    fn an_order_is_absent_only_when_its_list_is_there_and_shows_references() {
        let order = OrderId::from("OR1");
        let find = |value: Value| find_order(&value, OrderKind::Parts, &order);
        let parts = |entries: Value| json!({ "parts_orders": entries });
        assert!(matches!(
            find(parts(json!([{ "order_id": "7", "client_reference": "OR1" }]))),
            LookUpResult::Found(answer) if answer["order_id"] == "7"
        ));
        assert_eq!(find(parts(json!([]))), LookUpResult::Absent);
        assert_eq!(find(parts(json!([{ "order_id": "7", "client_reference": null }]))), LookUpResult::Absent);
        assert_eq!(find(parts(json!([{ "order_id": "7" }]))), LookUpResult::NotSupported);
        for nothing_learnt in [
            json!({}),
            json!({ "service_orders": [{ "client_reference": "OR1", "order_id": "7" }] }),
            parts(json!("none")),
            parts(json!(["x"])),
            parts(json!([{ "client_reference": "OR1" }])),
            parts(json!([{ "client_reference": ["OR1"], "order_id": "7" }])),
        ] {
            let found = find(nothing_learnt.clone());
            assert!(matches!(found, LookUpResult::Unreachable { .. }), "{nothing_learnt}: {found:?}");
        }
    }

    #[test]
    fn only_one_of_our_own_references_shows_that_the_dealer_keeps_them() {
        let body =
            |reference: &str| json!({ "service_orders": [{ "client_reference": reference }] }).to_string();
        assert!(shows_references(&body("OR0123456789abcdef0123456789abcdef")));
        assert!(!shows_references(&body("counter")));
        assert!(!shows_references("{\"service_orders\":[{\"client_reference\":null}]}"));
        assert!(!shows_references("<html>"));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        let names = prop::sample::select(vec![
            "customer_id",
            "equipment",
            "equipment_id",
            "parts_catalog",
            "part_number",
            "price",
            "addresses",
            "primary",
            "street",
            "service_orders",
            "parts_orders",
            "invoices",
            "order_id",
            "client_reference",
            "items",
            "invoice",
            "invoice_url",
            "resources",
            "other",
        ]);
        leaf.prop_recursive(5, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((names.clone(), inner), 0..8).prop_map(|entries| {
                    Value::Object(entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_json_panics_and_what_was_read_once_reads_the_same_again(value in any_json()) {
            let order = OrderId::from("OR1");
            let found = find_order(&value, OrderKind::Service, &order);
            prop_assert!(!matches!(found, LookUpResult::Found(answer) if !answer.contains_key("order_id")));
            prop_assert!(!shows_references(&value.to_string()), "none of these is one of ours");
            if let Ok(read) = profile(value.clone()) {
                let clean = serde_json::to_value(read.value).unwrap();
                let again = profile(clean.clone()).unwrap();
                prop_assert_eq!(again.dropped, 0);
                prop_assert_eq!(serde_json::to_value(again.value).unwrap(), clean);
            }
            if let Ok(read) = transactions(value) {
                let clean = serde_json::to_value(read.value).unwrap();
                let again = transactions(clean.clone()).unwrap();
                prop_assert_eq!(again.dropped, 0);
                prop_assert_eq!(serde_json::to_value(again.value).unwrap(), clean);
            }
        }
    }
}
