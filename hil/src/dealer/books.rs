//! The dealer's books: customers, what was ordered before, and the orders that were posted. With a file they
//! outlive the simulator's own death: an order is on the disk before it is answered.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Mode;
use super::shop::{self, Customer};

/// Which endpoint an order was posted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `/api/service-orders`.
    Service,
    /// `/api/parts-orders`.
    Parts,
}

/// One order that was written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The dealer's number: `SO-20001`, `PO-30001`.
    pub order_id: String,
    /// Endpoint.
    pub kind: Kind,
    /// Whose.
    pub customer_id: String,
    /// Header, as sent; kept for inspection in every mode.
    pub idempotency_key: Option<String>,
    /// Field, as sent; kept for inspection in every mode.
    pub client_reference: Option<String>,
    /// As posted.
    pub body: Value,
    /// As answered.
    pub answer: Map<String, Value>,
    /// UTC.
    pub at: String,
}

/// What came of a POST.
pub(super) enum Written {
    /// A new order.
    Created(Map<String, Value>),
    /// The key is known: the first answer again.
    Again(Map<String, Value>),
    /// 422: why.
    Refused(String),
}

pub(super) struct Books {
    mode: Mode,
    today: jiff::civil::Date,
    customers: Vec<Customer>,
    orders: Vec<Order>,
    state: Option<PathBuf>,
    log: Option<PathBuf>,
}

impl Books {
    pub(super) fn open(
        mode: Mode,
        today: jiff::civil::Date,
        more_customers: usize,
        state: Option<PathBuf>,
        log: Option<PathBuf>,
    ) -> io::Result<Self> {
        let orders = match &state {
            Some(path) if path.exists() => serde_json::from_slice(&fs::read(path)?)?,
            Some(_) | None => Vec::new(),
        };
        Ok(Self { mode, today, customers: shop::customers(today, more_customers), orders, state, log })
    }

    pub(super) fn mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn orders(&self) -> &[Order] {
        &self.orders
    }

    pub(super) fn customers(&self) -> &[Customer] {
        &self.customers
    }

    pub(super) fn customer_by_phone(&self, phone: &str) -> Option<&Customer> {
        let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
        let wanted = digits(phone);
        self.customers.iter().find(|customer| digits(&customer.phone) == wanted)
    }

    /// Forgets every posted order.
    pub(super) fn reset(&mut self) -> io::Result<()> {
        self.orders.clear();
        self.save()
    }

    /// Only what is asked for is in it, as `include` says; everything when it says nothing.
    pub(super) fn transactions(&self, customer_id: &str, include: &str) -> Option<Map<String, Value>> {
        let customer = self.customers.iter().find(|customer| customer.id == customer_id)?;
        let mut all = customer.transactions.clone();
        for order in self.orders.iter().filter(|order| order.customer_id == customer_id) {
            let (list, entry, invoice) = self.posted(customer, order);
            for (list, entry) in [(list, entry), ("invoices", invoice)] {
                if let Some(Value::Array(entries)) = all.get_mut(list) {
                    entries.insert(0, entry);
                }
            }
        }
        if self.mode == Mode::Reference {
            for list in ["service_orders", "parts_orders"] {
                for entry in all.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
                    if let Some(entry) = entry.as_object_mut() {
                        entry.entry("client_reference").or_insert(Value::Null);
                    }
                }
            }
        }
        all.retain(|list, _| include.is_empty() || include.split(',').any(|wanted| wanted == list));
        Some(all)
    }

    /// A posted order as it stands in the transactions, and its invoice.
    fn posted(&self, customer: &Customer, order: &Order) -> (&'static str, Value, Value) {
        let text = |field: &str| order.answer.get(field).cloned().unwrap_or(Value::Null);
        let equipment =
            customer.equipment(order.body.get("equipment_id").and_then(Value::as_str).unwrap_or(""));
        let name = equipment.map(|found| found.name()).unwrap_or_default();
        let links = json!({ "invoice_url": text("invoice_url"), "payment_url": text("payment_url") });
        let mut entry = json!({
            "order_id": order.order_id, "equipment_name": name, "status": text("status"), "invoice": links,
        });
        let (list, kind, description) = match order.kind {
            Kind::Service => {
                let description = order.body.get("description").cloned().unwrap_or(Value::Null);
                entry["equipment_id"] = order.body.get("equipment_id").cloned().unwrap_or(Value::Null);
                entry["equipment_serial"] = json!(equipment.map(|found| found.serial_number.clone()));
                entry["description"] = description.clone();
                entry["estimated_completion"] = text("estimated_completion");
                ("service_orders", "service", description)
            }
            Kind::Parts => {
                entry["items"] = text("items");
                entry["total"] = text("total");
                entry["estimated_delivery"] = text("estimated_delivery");
                ("parts_orders", "parts", json!("Parts"))
            }
        };
        if self.mode == Mode::Reference {
            entry["client_reference"] = json!(order.client_reference);
        }
        let invoice = json!({
            "invoice_id": text("invoice_id"), "order_id": order.order_id, "type": kind, "equipment_name": name,
            "description": description, "status": "unpaid", "amount": text("total"),
            "created_date": self.today.to_string(), "due_date": shop::day(self.today, 30),
            "invoice_url": text("invoice_url"), "payment_url": text("payment_url"),
        });
        (list, entry, invoice)
    }

    /// Writes an order, or says why not; the file is written before this returns.
    pub(super) fn write(&mut self, kind: Kind, key: Option<String>, body: Value) -> io::Result<Written> {
        if self.mode == Mode::Idempotent && key.is_some() {
            let known = self.orders.iter().find(|order| order.kind == kind && order.idempotency_key == key);
            if let Some(order) = known {
                let (order_id, answer) = (order.order_id.clone(), order.answer.clone());
                self.log("order_again", &json!({ "order_id": order_id, "idempotency_key": key }))?;
                return Ok(Written::Again(answer));
            }
        }
        let priced = match self.check(kind, &body) {
            Ok(priced) => priced,
            Err(why) => {
                self.log("order_refused", &json!({ "why": why, "body": body }))?;
                return Ok(Written::Refused(why));
            }
        };
        let order = self.order(kind, key, body, priced);
        let answer = order.answer.clone();
        self.orders.push(order.clone());
        self.save()?;
        self.log("order_created", &json!(order))?;
        Ok(Written::Created(answer))
    }

    fn order(&self, kind: Kind, key: Option<String>, body: Value, items: Vec<Value>) -> Order {
        let number = self.orders.len() + 1;
        let links =
            |invoice: &str| (format!("{}/i/{invoice}", shop::PAY), format!("{}/pay/{invoice}", shop::PAY));
        let invoice_id = format!("INV-{}", 50_000 + number);
        let (invoice_url, payment_url) = links(&invoice_id);
        let (order_id, mut answer) = match kind {
            Kind::Service => {
                let id = format!("SO-{}", 20_000 + number);
                let date = shop::day(self.today, 5);
                (id.clone(), json!({ "order_id": id, "status": "scheduled", "estimated_completion": date }))
            }
            Kind::Parts => {
                let id = format!("PO-{}", 30_000 + number);
                let cents: u64 = items.iter().map(shop::line_cents).sum();
                let date = shop::day(self.today, 4);
                let total = shop::dollars(cents);
                let answer = json!({
                    "order_id": id, "status": "pending", "total": total, "estimated_delivery": date, "items": items,
                });
                (id, answer)
            }
        };
        answer["invoice_id"] = json!(invoice_id);
        answer["invoice_url"] = json!(invoice_url);
        answer["payment_url"] = json!(payment_url);
        let text = |field: &str| body.get(field).and_then(Value::as_str).map(str::to_owned);
        Order {
            order_id,
            kind,
            customer_id: text("customer_id").unwrap_or_default(),
            idempotency_key: key,
            client_reference: text("client_reference"),
            answer: answer.as_object().cloned().unwrap_or_default(),
            body,
            at: jiff::Timestamp::now().to_string(),
        }
    }

    /// A shop's own rules; for parts the priced lines.
    fn check(&self, kind: Kind, body: &Value) -> Result<Vec<Value>, String> {
        let text = |field: &str| body.get(field).and_then(Value::as_str).unwrap_or("").trim();
        let customer = self
            .customers
            .iter()
            .find(|customer| customer.id == text("customer_id"))
            .ok_or("customer_id is not known")?;
        let equipment =
            customer.equipment(text("equipment_id")).ok_or("equipment_id is not the customer's")?;
        match kind {
            Kind::Service if text("description").is_empty() => Err("description is empty".to_owned()),
            Kind::Service => Ok(Vec::new()),
            Kind::Parts => {
                let items = body.get("items").and_then(Value::as_array).filter(|items| !items.is_empty());
                items
                    .ok_or("items is empty")?
                    .iter()
                    .map(|item| {
                        let number = item.get("part_number").and_then(Value::as_str).unwrap_or("");
                        let part = equipment.part(number).ok_or(format!("no part {number}"))?;
                        let quantity = item.get("quantity").and_then(Value::as_u64).unwrap_or(0);
                        match quantity {
                            1..=99 => Ok(part.line(quantity)),
                            _ => Err("quantity is not 1 to 99".to_owned()),
                        }
                    })
                    .collect()
            }
        }
    }

    /// Atomic: a new file, synced, takes the old one's name.
    fn save(&self) -> io::Result<()> {
        let Some(path) = &self.state else { return Ok(()) };
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec_pretty(&self.orders)?)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }

    fn log(&self, event: &str, about: &Value) -> io::Result<()> {
        let Some(path) = &self.log else { return Ok(()) };
        let mut line = serde_json::to_vec(&json!({
            "at": jiff::Timestamp::now().to_string(), "event": event, "about": about,
        }))?;
        line.push(b'\n');
        OpenOptions::new().create(true).append(true).open(path)?.write_all(&line)
    }
}
