//! A dealer in memory, in whatever mood a test wants him.

use std::collections::BTreeMap;

use backroom::dealer::{DealerCommand, DealerEvent, FetchResult};
use backroom::types::{Capabilities, LookUpResult, PlaceResult};
use serde_json::{Map, Value, json};

/// How the simulated dealer behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DealerMood {
    Up,
    /// Nobody answers: connection refused.
    Down,
    /// Takes the order and dies before he answers.
    TakesAndDies,
    /// 422.
    Refuses,
    /// Answers nothing until told otherwise.
    Silent,
}

/// A dealer in memory: outlives the box.
pub(crate) struct SimDealer {
    pub(crate) mood: DealerMood,
    pub(crate) capabilities: Capabilities,
    pub(crate) orders: Vec<(String, Map<String, Value>)>,
    pub(crate) profiles: BTreeMap<String, Value>,
}

impl SimDealer {
    pub(crate) fn handle(&mut self, command: DealerCommand) -> Option<DealerEvent> {
        let down = matches!(self.mood, DealerMood::Down);
        if self.mood == DealerMood::Silent {
            return None;
        }
        Some(match command {
            DealerCommand::Fetch { shop, id, path } => {
                let result = if down {
                    FetchResult::Unreachable { why: "connection refused".into() }
                } else {
                    self.fetch(&path)
                };
                DealerEvent::Fetched { shop, id, result }
            }
            DealerCommand::Request { shop, id, .. } => DealerEvent::Fetched {
                shop,
                id,
                result: FetchResult::Unreachable { why: "no such host".into() },
            },
            DealerCommand::Place { shop, order, body, .. } => {
                let result = self.place(order.as_str(), body);
                DealerEvent::Placed { shop, order, result }
            }
            DealerCommand::LookUp { shop, order, .. } => {
                let found = self.orders.iter().position(|(id, _)| id == order.as_str());
                let result = match (down, found) {
                    (true, _) => LookUpResult::Unreachable { why: "connection refused".into() },
                    (false, Some(at)) => LookUpResult::Found(answer(at)),
                    (false, None) => LookUpResult::Absent,
                };
                DealerEvent::LookedUp { shop, order, result }
            }
            DealerCommand::Probe { shop } => DealerEvent::Probed {
                shop,
                reached: !down,
                capabilities: (!down).then_some(self.capabilities),
                customers: Vec::new(),
            },
        })
    }

    fn place(&mut self, id: &str, body: Map<String, Value>) -> PlaceResult {
        if let (true, Some(at)) =
            (self.capabilities.idempotency_key, self.orders.iter().position(|(known, _)| known == id))
        {
            return PlaceResult::Confirmed(answer(at));
        }
        match self.mood {
            DealerMood::Down => PlaceResult::NotSent { why: "connection refused".into(), retry_after: None },
            DealerMood::Refuses => PlaceResult::Refused { status: 422, message: "no".into() },
            DealerMood::TakesAndDies => {
                self.orders.push((id.to_owned(), body));
                PlaceResult::Unknown { why: "the connection broke".into() }
            }
            DealerMood::Up | DealerMood::Silent => {
                self.orders.push((id.to_owned(), body));
                PlaceResult::Confirmed(answer(self.orders.len() - 1))
            }
        }
    }

    fn fetch(&self, path: &str) -> FetchResult {
        let bare = path.split('?').next().unwrap_or_default().replace("%2B", "+");
        let body = if let Some(phone) = bare.strip_prefix("/api/customers/by-phone/") {
            self.profiles.get(phone).cloned()
        } else {
            Some(json!({ "service_orders": [], "parts_orders": [], "invoices": [] }))
        };
        let (status, body) = body.map_or((404, "{}".to_owned()), |b| (200, b.to_string()));
        FetchResult::Answered { status, content_type: "application/json".into(), body }
    }
}

fn answer(at: usize) -> Map<String, Value> {
    let id = 1001 + at;
    json!({
        "order_id": format!("SO-{id}"),
        "status": "confirmed",
        "total": "24.95",
        "estimated_delivery": "2026-11-27",
        "invoice_url": format!("https://pay.example/i/{id}"),
        "payment_url": format!("https://pay.example/p/{id}"),
    })
    .as_object()
    .cloned()
    .unwrap()
}

/// A customer whose equipment is named after the number, so that a mix-up shows.
pub(crate) fn profile(phone: &str) -> Value {
    let tail = &phone[phone.len() - 4..];
    let mut equipment = vec![json!({
        "equipment_id": format!("EQ{tail}"), "make": "Honda", "model": format!("HRX{tail}"), "unit_type": "Mower",
        "serial_number": format!("MZCG-{tail}"), "sku": format!("SKU{tail}"), "status": "Active",
        "resources": { "tutorial_video_url": "https://v.example/1", "owners_manual_url": "https://m.example/1" },
        "parts_catalog": [
            { "part_number": format!("P-{tail}"), "description": format!("Blade {tail}"), "price": 24.95,
              "availability": "In stock", "popularity": 1 },
        ],
    })];
    equipment.push(json!({
        "equipment_id": format!("EX{tail}"), "make": "Stihl", "model": "MS 170", "unit_type": "Saw",
        "serial_number": format!("ST-{tail}"), "sku": "MS170", "status": "Active",
        "resources": {}, "parts_catalog": [],
    }));
    json!({
        "customer_id": format!("C{tail}"), "name": format!("Customer {tail}"), "phone": phone,
        "equipment": equipment,
        "addresses": { "primary": { "street": "12 Oak Street", "city": "Seattle", "state": "WA", "zip": "98101" } },
    })
}
