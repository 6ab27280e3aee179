//! Green Valley Outdoor Power: a believable shop. A dozen customers, what they own, what it is repaired with, and
//! what they ordered and owe. The same for the same day.

use std::sync::Arc;

use jiff::ToSpan;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

/// The shop's name.
pub const NAME: &str = "Green Valley Outdoor Power";

/// Where invoices are looked at and paid.
pub(super) const PAY: &str = "https://pay.greenvalley.example";

const SITE: &str = "https://greenvalley.example";

/// One customer.
#[derive(Clone, Debug)]
pub struct Customer {
    /// `C-1001`.
    pub id: String,
    /// As on the invoice.
    pub name: String,
    /// E.164.
    pub phone: String,
    address: Option<[&'static str; 4]>,
    equipment: Vec<Equipment>,
    /// `service_orders`, `parts_orders`, `invoices`.
    pub(super) transactions: Map<String, Value>,
}

/// What a customer owns, as texts show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// `EQ123`.
    pub id: String,
    /// `Honda HRX217`.
    pub name: String,
    /// `MZCG-1234567`.
    pub serial: String,
}

/// One machine of a customer.
#[derive(Clone, Debug)]
pub(super) struct Equipment {
    id: String,
    pub(super) serial_number: String,
    status: &'static str,
    model: Arc<Model>,
}

#[derive(Debug)]
struct Model {
    make: &'static str,
    name: &'static str,
    unit_type: &'static str,
    sku: &'static str,
    parts: Vec<Part>,
}

/// A part that fits.
#[derive(Clone, Debug)]
pub(super) struct Part {
    number: String,
    description: &'static str,
    cents: u64,
    availability: &'static str,
}

impl Customer {
    /// The contract's profile, with what `include` names (everything when it is empty).
    pub(super) fn profile(&self, include: &str) -> Map<String, Value> {
        let wants = |what: &str| include.is_empty() || include.split(',').any(|name| name.trim() == what);
        let mut profile = Map::new();
        profile.insert("customer_id".to_owned(), json!(self.id));
        profile.insert("name".to_owned(), json!(self.name));
        profile.insert("phone".to_owned(), json!(self.phone));
        if wants("equipment") {
            let all: Vec<Value> =
                self.equipment.iter().map(|one| one.json(wants("resources"), wants("parts"))).collect();
            profile.insert("equipment".to_owned(), json!(all));
        }
        if wants("addresses") {
            let primary = self.address.map(|[street, city, state, zip]| {
                json!({ "street": street, "city": city, "state": state, "zip": zip })
            });
            profile.insert("addresses".to_owned(), json!({ "primary": primary }));
        }
        profile
    }

    /// What the customer owns, in the order of the profile.
    #[must_use]
    pub fn machines(&self) -> Vec<Machine> {
        let machine =
            |e: &Equipment| Machine { id: e.id.clone(), name: e.name(), serial: e.serial_number.clone() };
        self.equipment.iter().map(machine).collect()
    }

    pub(super) fn equipment(&self, id: &str) -> Option<&Equipment> {
        self.equipment.iter().find(|equipment| equipment.id == id)
    }
}

impl Equipment {
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.model.make, self.model.name)
    }

    pub(super) fn part(&self, number: &str) -> Option<&Part> {
        self.model.parts.iter().find(|part| part.number == number)
    }

    fn json(&self, resources: bool, parts: bool) -> Value {
        let mut all = json!({
            "equipment_id": self.id, "make": self.model.make, "model": self.model.name,
            "unit_type": self.model.unit_type, "serial_number": self.serial_number, "sku": self.model.sku,
            "status": self.status,
        });
        let sku = self.model.sku.to_lowercase();
        if resources {
            all["resources"] = json!({
                "tutorial_video_url": format!("{SITE}/v/{sku}"), "owners_manual_url": format!("{SITE}/m/{sku}.pdf"),
            });
        }
        if parts {
            let catalog: Vec<Value> = self
                .model
                .parts
                .iter()
                .zip(1..)
                .map(|(part, popularity)| {
                    json!({
                        "part_number": part.number, "description": part.description,
                        "price": dollars(part.cents), "availability": part.availability,
                        "popularity": popularity,
                    })
                })
                .collect();
            all["parts_catalog"] = json!(catalog);
        }
        all
    }
}

impl Part {
    /// A line of a parts order.
    pub(super) fn line(&self, quantity: u64) -> Value {
        json!({
            "part_number": self.number, "description": self.description, "quantity": quantity,
            "price": dollars(self.cents),
        })
    }
}

/// What a line of a parts order comes to.
pub(super) fn line_cents(line: &Value) -> u64 {
    let dollars = line.get("price").and_then(Value::as_f64).unwrap_or_default();
    let quantity = line.get("quantity").and_then(Value::as_u64).unwrap_or_default();
    // Prices are below 10,000 dollars and exact in cents.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number of cents"
    )]
    let cents = (dollars * 100.0).round() as u64;
    cents * quantity
}

/// A price as the contract writes it: a JSON number.
pub(super) fn dollars(cents: u64) -> Value {
    let text = format!("{}.{:02}", cents / 100, cents % 100);
    text.parse::<f64>().map_or(Value::Null, |number| json!(number))
}

/// This many days from today, as the contract writes dates.
pub(super) fn day(today: Date, days: i64) -> String {
    today.saturating_add(days.days()).to_string()
}

type Parts = &'static [(&'static str, &'static str, u64, &'static str)];

const STOCK: &str = "In stock";
const SOON: &str = "2-3 days";
const ORDER: &str = "Special order, 10 days";

// In order of popularity.
const MOWER: Parts = &[
    ("BLD", "Mower blade", 2499, STOCK),
    ("AIR", "Air filter", 895, STOCK),
    ("SPK", "Spark plug", 450, STOCK),
    ("OIL", "SAE 10W-30 oil, 18 oz", 799, STOCK),
    ("CBL", "Drive clutch cable", 1875, STOCK),
    ("WHL", "Rear wheel", 2950, SOON),
    ("BAG", "Grass bag", 6425, SOON),
    ("REC", "Recoil starter assembly", 5410, SOON),
    ("CRB", "Carburetor", 4899, STOCK),
    ("BLT", "Drive belt", 2165, STOCK),
    ("FCP", "Fuel cap", 1120, STOCK),
    ("DFL", "Discharge chute deflector", 3305, ORDER),
];
const RIDER: Parts = &[
    ("BLD", "Blade set", 5999, STOCK),
    ("BLT", "Deck belt", 4750, STOCK),
    ("OFL", "Oil filter", 1095, STOCK),
    ("AIR", "Air filter kit", 2340, STOCK),
    ("BAT", "Battery 12 V", 8900, STOCK),
    ("SPN", "Spindle assembly", 9450, SOON),
    ("FFL", "Fuel filter", 650, STOCK),
    ("PLY", "Idler pulley", 2875, SOON),
    ("TIR", "Front tire", 4520, SOON),
    ("SOL", "Starter solenoid", 3160, STOCK),
    ("PTO", "PTO clutch", 21900, ORDER),
];
const SAW: Parts = &[
    ("CHN", "Chain, 20 in", 2895, STOCK),
    ("BAR", "Guide bar, 20 in", 4495, STOCK),
    ("SPK", "Spark plug", 550, STOCK),
    ("AIR", "Air filter", 1250, STOCK),
    ("OIL", "Bar and chain oil, 1 gal", 1999, STOCK),
    ("SPR", "Drive sprocket", 1675, SOON),
    ("FCP", "Fuel cap", 980, STOCK),
];
const HANDHELD: Parts = &[
    ("LIN", "Trimmer line .095", 1299, STOCK),
    ("HED", "Trimmer head", 3150, STOCK),
    ("SPK", "Spark plug", 550, STOCK),
    ("AIR", "Air filter", 925, STOCK),
    ("CRB", "Carburetor kit", 3895, SOON),
];
const SNOW: Parts = &[
    ("SHR", "Shear pin kit", 1199, STOCK),
    ("PDL", "Paddle set", 4250, STOCK),
    ("SCR", "Scraper bar", 2190, STOCK),
    ("BLT", "Auger belt", 2395, STOCK),
    ("SKD", "Skid shoe pair", 3475, SOON),
    ("SPK", "Spark plug", 450, STOCK),
];
const POWER: Parts = &[
    ("SPK", "Spark plug", 595, STOCK),
    ("AIR", "Air filter element", 1140, STOCK),
    ("OIL", "SAE 10W-30 oil, 14 oz", 699, STOCK),
    ("CRD", "30 A cord, 25 ft", 8250, SOON),
];

const MODELS: [(&str, &str, &str, &str, Parts); 12] = [
    ("Honda", "HRX217", "Walk-Behind Mower", "HRX217VKA", MOWER),
    ("John Deere", "X350", "Riding Mower", "JD-X350-42", RIDER),
    ("Stihl", "MS 271", "Chainsaw", "MS271-20", SAW),
    ("Stihl", "BR 600", "Backpack Blower", "BR600", HANDHELD),
    ("Toro", "TimeCutter 50", "Zero-Turn Mower", "TORO-75755", RIDER),
    ("Toro", "Power Clear 721", "Snow Blower", "TORO-38753", SNOW),
    ("Husqvarna", "450 Rancher", "Chainsaw", "HQ-450R", SAW),
    ("Echo", "SRM-225", "String Trimmer", "SRM-225", HANDHELD),
    ("Exmark", "Lazer Z X-Series", "Zero-Turn Mower", "LZX801-60", RIDER),
    ("Ariens", "Deluxe 28", "Snow Blower", "AR-921046", SNOW),
    ("Honda", "EU2200i", "Generator", "EU2200ITAN", POWER),
    ("Toro", "Recycler 22", "Walk-Behind Mower", "TORO-21462", MOWER),
];

/// Name, address, models owned (by place in [`MODELS`]), machines that are in service, invoices.
type Row<'a> = (&'static str, Option<[&'static str; 4]>, &'a [usize], usize, usize);

const CUSTOMERS: [Row<'static>; 12] = [
    ("Dana Whitfield", Some(["418 Cedar Ridge Rd", "Issaquah", "WA", "98027"]), &[0, 1, 3, 6], 1, 3),
    ("Marcus O'Neil", Some(["77 Harbor St", "Kirkland", "WA", "98033"]), &[11, 7], 0, 1),
    (
        "Evergreen Landscaping LLC",
        Some(["2200 Industrial Way", "Renton", "WA", "98055"]),
        &[8, 8, 4, 0, 0, 0, 7, 7, 7, 3, 3, 2, 2, 10],
        4,
        36,
    ),
    ("Priya Raman", Some(["15 Lakeview Ct", "Bellevue", "WA", "98004"]), &[11], 1, 2),
    ("José Muñoz", Some(["930 Orchard Ave", "Yakima", "WA", "98902"]), &[1, 2], 0, 2),
    ("Helen Strand", Some(["4 Fjord Ln", "Poulsbo", "WA", "98370"]), &[9, 5], 2, 1),
    ("Tom Becker", None, &[6, 2], 0, 1),
    ("Grace Community Church", Some(["601 Main St", "Duvall", "WA", "98019"]), &[4, 7, 5], 1, 12),
    ("Walter Jansen", Some(["12 Mill Pond Rd", "Carnation", "WA", "98014"]), &[], 0, 0),
    ("Aisha Okafor", Some(["3109 Alder Pl", "Sammamish", "WA", "98074"]), &[0], 0, 0),
    ("Cascade Tree Service", Some(["88 Timber Spur", "North Bend", "WA", "98045"]), &[2, 2, 6, 6, 3], 2, 13),
    ("Lou Petersen", Some(["250 Prairie Rd", "Monroe", "WA", "98272"]), &[10, 1], 0, 2),
];

/// The customers as they stand on this day. Their numbers are +12065550101 to +12065550112; `more` of them, who own
/// two machines each and have no history, follow.
pub(super) fn customers(today: Date, more: usize) -> Vec<Customer> {
    let models: Vec<Arc<Model>> = MODELS
        .iter()
        .map(|(make, name, unit_type, sku, parts)| {
            let parts = parts
                .iter()
                .map(|(code, description, cents, availability)| Part {
                    number: format!("{sku}-{code}"),
                    description,
                    cents: *cents,
                    availability,
                })
                .collect();
            Arc::new(Model { make, name, unit_type, sku, parts })
        })
        .collect();
    let known = CUSTOMERS.iter().enumerate().map(|(at, row)| customer(at, row, &models, today));
    let first = CUSTOMERS.len();
    let others = (first..first + more).map(|at| {
        let owned = [at % MODELS.len(), (at / MODELS.len() + at + 5) % MODELS.len()];
        let mut other =
            customer(at, &("", Some(["1 First St", "Seattle", "WA", "98101"]), &owned, 0, 0), &models, today);
        other.name = format!("Customer {}", at + 1);
        other
    });
    known.chain(others).collect()
}

fn customer(at: usize, row: &Row<'_>, models: &[Arc<Model>], today: Date) -> Customer {
    let (name, address, owned, in_service, invoices) = *row;
    let equipment: Vec<Equipment> = owned
        .iter()
        .filter_map(|model| models.get(*model))
        .enumerate()
        .map(|(nth, model)| {
            let number = 123 + at * 100 + nth;
            let prefix: String =
                model.sku.chars().filter(char::is_ascii_alphanumeric).take(4).collect::<String>();
            let serial = match number {
                // The machine of the guide's examples.
                123 => "MZCG-1234567".to_owned(),
                _ => format!("{prefix}-{}", 1_000_000 + number * 7_919),
            };
            // The first machine stays usable, so that service can be scheduled for it.
            let status = if nth > 0 && nth <= in_service { "In Service" } else { "Active" };
            Equipment { id: format!("EQ{number}"), serial_number: serial, status, model: model.clone() }
        })
        .collect();
    let mut history =
        History { at, today, equipment: &equipment, service: vec![], parts: vec![], invoices: vec![] };
    history.fill(in_service, invoices);
    let transactions = Map::from_iter([
        ("service_orders".to_owned(), json!(history.service)),
        ("parts_orders".to_owned(), json!(history.parts)),
        ("invoices".to_owned(), json!(history.invoices)),
    ]);
    Customer {
        id: format!("C-{}", 1001 + at),
        name: name.to_owned(),
        phone: format!("+1206555{:04}", 101 + at),
        address,
        equipment,
        transactions,
    }
}

/// What a customer ordered before today.
struct History<'a> {
    at: usize,
    today: Date,
    equipment: &'a [Equipment],
    service: Vec<Value>,
    parts: Vec<Value>,
    invoices: Vec<Value>,
}

impl History<'_> {
    fn fill(&mut self, in_service: usize, invoices: usize) {
        for nth in 0..in_service {
            let status = if nth % 2 == 0 { "in_progress" } else { "in_service" };
            self.service(nth + 1, status);
        }
        for nth in 0..invoices {
            match nth % 3 {
                0 => self.unit_sale(nth),
                1 => self.parts(nth),
                _ => self.service(nth, "completed"),
            }
        }
    }

    fn equipment(&self, nth: usize) -> Option<&Equipment> {
        self.equipment.get(nth % self.equipment.len().max(1))
    }

    fn days(nth: usize) -> i64 {
        i64::try_from(nth).unwrap_or(0)
    }

    /// Its invoice, and the links that the order shows.
    fn invoice(&mut self, nth: usize, kind: &str, order: Option<&str>, about: &str, amount: u64) -> Value {
        let id = format!("INV-{}", 40_000 + self.at * 100 + self.invoices.len());
        let links =
            json!({ "invoice_url": format!("{PAY}/i/{id}"), "payment_url": format!("{PAY}/pay/{id}") });
        let age = 5 + Self::days(nth) * 9;
        // Newer than 30 days is not due yet; of the older ones every fourth was forgotten.
        let status = match (age <= 30, nth % 4) {
            (true, 0 | 1) => "unpaid",
            (false, 0) => "overdue",
            (_, _) => "paid",
        };
        self.invoices.push(json!({
            "invoice_id": id, "order_id": order, "type": kind,
            "equipment_name": self.equipment(nth).map(Equipment::name), "description": about,
            "status": status, "amount": dollars(amount),
            "created_date": day(self.today, -age), "due_date": day(self.today, 30 - age),
            "invoice_url": links["invoice_url"], "payment_url": links["payment_url"],
        }));
        links
    }

    fn unit_sale(&mut self, nth: usize) {
        let price = 39_900 + 12_500 * u64::try_from(nth % 8).unwrap_or(0);
        self.invoice(nth, "unit_sale", None, "New unit", price);
    }

    fn service(&mut self, nth: usize, status: &str) {
        const WORK: [&str; 5] = [
            "Engine won't start, makes clicking noise",
            "Oil change and blade sharpening",
            "Runs but loses power after 10 minutes",
            "Annual tune-up",
            "Replace drive belt",
        ];
        let id = format!("SO-{}", 10_000 + self.at * 100 + self.service.len());
        let about = WORK.get((nth + self.at) % WORK.len()).copied().unwrap_or("Repair");
        let price = 8_500 + 1_750 * u64::try_from(nth % 5).unwrap_or(0);
        let links = self.invoice(nth, "service", Some(&id), about, price);
        let Some(equipment) = self.equipment(nth) else { return };
        let days = if status == "completed" { -3 - Self::days(nth) } else { 2 + Self::days(nth) };
        let entry = json!({
            "order_id": id, "equipment_id": equipment.id, "equipment_name": equipment.name(),
            "equipment_serial": equipment.serial_number, "status": status, "description": about,
            "estimated_completion": day(self.today, days), "invoice": links,
        });
        self.service.push(entry);
    }

    fn parts(&mut self, nth: usize) {
        let Some(equipment) = self.equipment(nth).cloned() else { return };
        let quantity = 1 + u64::try_from(nth % 3).unwrap_or(0);
        let items: Vec<Value> = equipment
            .model
            .parts
            .iter()
            .skip(nth % 4)
            .take(1 + nth % 2)
            .map(|part| part.line(quantity))
            .collect();
        let id = format!("PO-{}", 15_000 + self.at * 100 + self.parts.len());
        let total = items.iter().map(line_cents).sum();
        let links = self.invoice(nth, "parts", Some(&id), "Parts", total);
        let (status, tracking, days) = match self.parts.len() % 3 {
            0 => ("shipped", Some(format!("1Z999AA1{:010}", 7_000 + nth)), 2),
            1 => ("delivered", Some(format!("1Z999AA1{:010}", 6_000 + nth)), -6),
            _ => ("pending", None, 6),
        };
        self.parts.push(json!({
            "order_id": id, "equipment_name": equipment.name(), "status": status, "tracking_number": tracking,
            "items": items, "total": dollars(total), "estimated_delivery": day(self.today, days),
            "invoice": links,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Customer> {
        customers(jiff::civil::date(2026, 11, 20), 40)
    }

    #[test]
    fn the_first_customer_owns_the_guides_mower() {
        let profile = all()[0].profile("");
        let mower = &profile["equipment"][0];
        assert_eq!(mower["equipment_id"], "EQ123");
        assert_eq!(mower["serial_number"], "MZCG-1234567");
        assert_eq!((mower["make"].as_str(), mower["model"].as_str()), (Some("Honda"), Some("HRX217")));
        assert!(mower["parts_catalog"].as_array().unwrap().len() > 10);
        assert_eq!(profile["phone"], "+12065550101");
    }

    #[test]
    fn somebody_has_more_than_ten_of_everything_and_somebody_has_nothing() {
        let all = all();
        let most =
            |list: &str| all.iter().map(|c| c.transactions[list].as_array().unwrap().len()).max().unwrap();
        assert!(most("invoices") > 20);
        assert!(most("service_orders") > 10 && most("parts_orders") > 10);
        assert!(all.iter().any(|c| c.equipment.len() > 10));
        assert!(all.iter().any(|c| c.equipment.is_empty()));
        assert!(all.iter().any(|c| c.address.is_none()));
        let statuses: std::collections::BTreeSet<_> = all
            .iter()
            .flat_map(|c| c.transactions["invoices"].as_array().unwrap())
            .map(|invoice| invoice["status"].as_str().unwrap())
            .collect();
        assert_eq!(statuses.into_iter().collect::<Vec<_>>(), ["overdue", "paid", "unpaid"]);
    }

    #[test]
    fn ids_are_not_used_twice() {
        let all = all();
        let ids: Vec<String> = all
            .iter()
            .flat_map(|c| {
                let orders = ["service_orders", "parts_orders"]
                    .into_iter()
                    .flat_map(|list| c.transactions[list].as_array().unwrap())
                    .map(|order| order["order_id"].as_str().unwrap().to_owned());
                let equipment = c.equipment.iter().flat_map(|e| [e.id.clone(), e.serial_number.clone()]);
                orders.chain(equipment).collect::<Vec<_>>()
            })
            .collect();
        let unique: std::collections::BTreeSet<_> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
    }
}
