//! `createServiceOrderAsync` and `createPartsOrderAsync`: the bodies are the guide's `axios.post` bodies, field by
//! field, plus `customer_phone` and `equipment_serial`. The order itself leaves by the outbox.
//!
//! A parts order waits for its outcome, as the guide's function awaits the dealer. When the dealer is known to be
//! out of reach it does not: the flow hears `pending` at once, and the follow-up text tells the outcome.

use serde_json::{Map, Value, json};

use super::{Answer, Call, address, quantity};
use crate::flow::{OrderAnswer, OrderKind};

const NOT_CREATED: &str = "Parts order could not be created. Please contact dealer.";
const PENDING: &str = "Your parts order has been submitted. We will text you as soon as it is confirmed.";

/// Answers at once: `{submitted: true, message, queued}`; `queued` is true when the dealer cannot be reached now.
pub(super) fn service(call: &Call<'_>) -> Answer {
    if call.text("customerId").is_empty() {
        return Answer::Failed("customerId is missing; no order was placed".into());
    }
    let mut body = Map::new();
    put(&mut body, "customer_id", call.text("customerId"));
    put(&mut body, "equipment_id", call.text("equipmentId"));
    put(&mut body, "service_type", "repair");
    put(&mut body, "description", call.text("description"));
    put(&mut body, "drop_off_type", call.text("dropOffType"));
    body.insert("pickup_requested".into(), Value::Bool(call.is_true("pickupRequested")));
    put_if(&mut body, "pickup_date", call.text("pickupDate"));
    put_if(&mut body, "pickup_address", call.text("pickupAddress"));
    put_ours(&mut body, call);
    Answer::Order {
        kind: OrderKind::Service,
        body,
        about: about(call),
        meanwhile: Some(json!({
            "submitted": true,
            "message": "Your service order has been submitted...",
            "queued": !call.env.dealer_reachable,
        })),
    }
}

/// Waits for the outcome, which [`outcome`] turns into the widget's answer.
pub(super) fn parts(call: &Call<'_>) -> Answer {
    let refuse =
        |why: &str| Answer::Returned(json!({"success": false, "message": NOT_CREATED, "reason": why}));
    for key in ["customerId", "partNumber"] {
        if call.text(key).is_empty() {
            return refuse(&format!("{key} is missing"));
        }
    }
    let Some(quantity) = quantity::parse(call.text("quantity")) else {
        return refuse("quantity is no whole number from 1 to 99");
    };
    let Ok(shipping_address) = shipping_address(call.text("shippingAddress")) else {
        return refuse("shippingAddress is no address");
    };
    let mut body = Map::new();
    put(&mut body, "customer_id", call.text("customerId"));
    put(&mut body, "equipment_id", call.text("equipmentId"));
    let item = json!({"part_number": call.text("partNumber"), "quantity": quantity});
    body.insert("items".into(), Value::Array(vec![item]));
    put(&mut body, "ship_to", call.text("shippingOption"));
    if let Some(address) = shipping_address {
        body.insert("shipping_address".into(), address);
    }
    put_ours(&mut body, call);
    let meanwhile = (!call.env.dealer_reachable).then(|| outcome(OrderAnswer::Pending));
    Answer::Order { kind: OrderKind::Parts, body, about: about(call), meanwhile }
}

/// What a waiting `createPartsOrderAsync` returns.
pub(in crate::flow) fn outcome(answer: OrderAnswer) -> Value {
    match answer {
        OrderAnswer::Confirmed(mut order) => {
            let mut value = Map::new();
            value.insert("success".into(), Value::Bool(true));
            for (from, to) in [
                ("order_id", "orderId"),
                ("total", "total"),
                ("invoice_url", "invoiceUrl"),
                ("payment_url", "paymentUrl"),
                ("estimated_delivery", "estimatedDelivery"),
            ] {
                if let Some(field) = order.remove(from) {
                    value.insert(to.into(), field);
                }
            }
            Value::Object(value)
        }
        OrderAnswer::Pending => json!({"success": true, "pending": true, "message": PENDING}),
        OrderAnswer::Refused(why) => {
            json!({"success": false, "refused": true, "message": NOT_CREATED, "reason": why})
        }
    }
}

/// The guide parses `shippingAddress` as JSON; blank (will call) is none, and a plain line is read as an address.
fn shipping_address(text: &str) -> Result<Option<Value>, ()> {
    if text.is_empty() || text == "null" {
        return Ok(None);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(value @ Value::Object(_)) => Ok(Some(value)),
        // What `to_json` makes of a blank variable.
        Ok(Value::String(line)) if line.trim().is_empty() => Ok(None),
        Ok(Value::String(line)) => address::parse(&line).map(|a| Some(a.to_json())).map_err(|_| ()),
        Ok(_) => Err(()),
        Err(_) => address::parse(text).map(|a| Some(a.to_json())).map_err(|_| ()),
    }
}

fn put_ours(body: &mut Map<String, Value>, call: &Call<'_>) {
    put_if(body, "customer_phone", call.text("customerPhone"));
    put_if(body, "equipment_serial", call.first_of(&["equipmentSN", "equipmentSerial"]));
}

fn about(call: &Call<'_>) -> Map<String, Value> {
    let mut about = Map::new();
    for key in
        ["equipmentName", "description", "partName", "partNumber", "quantity", "customerId", "customerPhone"]
    {
        put_if(&mut about, key, call.text(key));
    }
    about
}

fn put(map: &mut Map<String, Value>, key: &str, text: &str) {
    map.insert(key.to_owned(), Value::from(text));
}

/// A blank optional field is left out, as JavaScript leaves `undefined` out.
fn put_if(map: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        put(map, key, text);
    }
}
