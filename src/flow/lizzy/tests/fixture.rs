//! A customer as the dealer's contract gives one.

use serde_json::{Value, json};

pub(super) const PHONE: &str = "+12065550101";
pub(super) const SHOP_NUMBER: &str = "+12065550100";

/// Two pieces of equipment of one type and a third of another; the mower is in service.
pub(super) fn profile() -> Value {
    json!({
        "customer_id": "C100",
        "name": "Ada Miller",
        "phone": PHONE,
        "equipment": [
            {
                "equipment_id": "EQ123", "make": "Honda", "model": "HRX217", "unit_type": "Mower",
                "serial_number": "MZCG-1234567", "sku": "HRX217VKA", "status": "In Service",
                "resources": {
                    "tutorial_video_url": "https://v.example/hrx217",
                    "owners_manual_url": "https://m.example/hrx217.pdf"
                },
                "parts_catalog": [
                    {"part_number": "72511-VE2", "description": "Blade", "price": 21.5,
                     "availability": "In stock", "popularity": 2},
                    {"part_number": "17211-ZL8", "description": "Air Filter", "price": "12.95",
                     "availability": "2-3 days", "popularity": 1}
                ]
            },
            {
                "equipment_id": "EQ124", "make": "Toro", "model": "450", "unit_type": "Mower",
                "serial_number": "0042", "sku": "T450", "status": "Active",
                "resources": {}, "parts_catalog": []
            },
            {
                "equipment_id": "EQ125", "make": "Stihl", "model": "MS 271", "unit_type": "Chainsaw",
                "serial_number": "S-9", "sku": "MS271", "status": "Active",
                "resources": {"owners_manual_url": "https://m.example/ms271.pdf"},
                "parts_catalog": [
                    {"part_number": "1141-640", "description": "Chain", "availability": "Ask", "popularity": 1}
                ]
            }
        ],
        "addresses": {"primary": {"street": "12 Oak St", "city": "Seattle", "state": "WA", "zip": "98101"}}
    })
}

/// The same customer with as many pieces of equipment, all mowers of models M1, M2 …; the first has that many parts.
pub(super) fn fleet(count: u32) -> Value {
    let mut profile = profile();
    let parts: Vec<Value> = (1..=count)
        .map(|n| {
            json!({"part_number": format!("P-{n}"), "description": format!("Part {n}"), "price": n,
                   "availability": "In stock", "popularity": n})
        })
        .collect();
    let equipment: Vec<Value> = (1..=count)
        .map(|n| {
            json!({"equipment_id": n.to_string(), "make": "Exmark", "model": format!("M{n}"),
                   "unit_type": format!("Type {n}"), "serial_number": format!("X-{n}"), "sku": format!("K{n}"),
                   "status": "Active", "resources": {}, "parts_catalog": parts})
        })
        .collect();
    profile["equipment"] = Value::from(equipment);
    profile
}

pub(super) fn transactions() -> Value {
    let invoice = json!({"invoice_url": "https://i.example/1", "payment_url": "https://p.example/1"});
    json!({
        "service_orders": [
            {"order_id": "S-7", "equipment_id": "EQ124", "equipment_name": "Toro 450",
             "equipment_serial": "0042", "status": "in_service", "description": "Tune-up"},
            {"order_id": "S-8", "equipment_id": "EQ123", "equipment_name": "Honda HRX217",
             "equipment_serial": "MZCG-1234567", "status": "in_progress", "description": "No spark",
             "estimated_completion": "2026-12-01", "invoice": invoice},
            {"order_id": "S-1", "equipment_id": "EQ123", "equipment_name": "Honda HRX217",
             "equipment_serial": "MZCG-1234567", "status": "completed", "description": "Old"}
        ],
        "parts_orders": [
            {"order_id": "P-5", "equipment_name": "Honda HRX217", "status": "shipped", "tracking_number": "1Z999",
             "items": [
                {"part_number": "72511-VE2", "description": "Blade", "quantity": 2, "price": 21.5},
                {"part_number": "17211-ZL8", "description": "Air Filter", "quantity": 1, "price": "12.95"}],
             "estimated_delivery": "2026-11-25", "invoice": invoice},
            {"order_id": "P-6", "equipment_name": "Stihl MS 271", "status": "pending",
             "items": [{"part_number": "1141-640", "description": "Chain", "quantity": 1}]}
        ],
        "invoices": [
            {"invoice_id": "I-1", "order_id": "S-1", "type": "service", "equipment_name": "Honda HRX217",
             "description": "Tune-up", "status": "unpaid", "amount": 1234.5, "created_date": "2026-10-02",
             "due_date": "2026-12-02", "invoice_url": "https://i.example/1", "payment_url": "https://p.example/1"},
            {"invoice_id": "I-2", "type": "service", "description": "Blade sharpening", "status": "Paid",
             "amount": "19.9", "created_date": "2026-09-01", "invoice_url": "https://i.example/2",
             "payment_url": "https://p.example/2"},
            {"invoice_id": "I-3", "type": "unit_sale", "description": "Refund", "status": "credit", "amount": -5.25}
        ]
    })
}

/// As many orders and invoices of each kind.
pub(super) fn many_transactions(count: u32) -> Value {
    let each = |make: &dyn Fn(u32) -> Value| Value::from((1..=count).map(make).collect::<Vec<_>>());
    json!({
        "service_orders": each(&|n| json!({"order_id": format!("S-{n}"), "equipment_id": "EQ123",
            "equipment_name": "Honda HRX217", "equipment_serial": "MZCG-1234567", "status": "in_progress"})),
        "parts_orders": each(&|n| json!({"order_id": format!("P-{n}"), "equipment_name": "Honda HRX217",
            "status": "shipped", "items": [{"description": "Blade", "quantity": 1, "price": 3}]})),
        "invoices": each(&|n| json!({"invoice_id": format!("I-{n}"), "type": "parts", "description": "Parts",
            "status": "unpaid", "amount": n}))
    })
}
