//! `run-function`: the guide's five and the box's own, as a flow sees them.

use super::*;
use crate::flow::{OrderAnswer, OrderKind};
use crate::types::OrderId;

/// A flow of one function, started; what the function gave.
fn run(name: &str, parameters: Value, change: impl Fn(&mut Env)) -> (Bench, Outcome) {
    let json = flow(json!([
        function("f", name, parameters, json!({"success": "ok", "fail": "no"})),
        send("ok", "ok", Value::Null),
        send("no", "no", Value::Null),
    ]));
    let mut bench = Bench::new(&json);
    change(&mut bench.env);
    let outcome = bench.start("hi");
    (bench, outcome)
}

fn parsed(name: &str, parameters: Value) -> Value {
    run(name, parameters, |_| {}).0.at("/widgets/f/parsed")
}

const PROFILE: &str = r#"{"customer_id": "C1", "equipment": [
    {"equipment_id": "EQ1", "make": "Honda", "model": "HRX217", "serial_number": "MZCG-1", "sku": "H-1"},
    {"equipment_id": "EQ2", "make": "Toro", "model": "TimeCutter", "serial_number": "T-2"}]}"#;

#[test]
fn equipment_is_found_by_sku_and_serial_number_in_any_case() {
    let found = json!({"success": true, "equipment": {"id": "EQ1", "name": "Honda HRX217", "serialNumber": "MZCG-1"}});
    assert_eq!(parsed("searchEquipmentBySKU", json!({"sku": " h-1 ", "customerProfile": PROFILE})), found);
    assert_eq!(
        parsed("searchEquipmentBySN.js", json!({"serialNumber": "mzcg-1", "customerProfile": PROFILE})),
        found
    );
    let none = json!({
        "success": false,
        "message": "SKU not found in your equipment list. Please try again or reply MENU.",
    });
    assert_eq!(parsed("searchEquipmentBySKU", json!({"sku": "", "customerProfile": PROFILE})), none);
    assert_eq!(parsed("searchEquipmentBySKU", json!({"sku": "x", "customerProfile": "{}"})), none);
    let message = parsed("searchEquipmentBySN", json!({"serialNumber": "x", "customerProfile": PROFILE}));
    let wanted = "Serial number not found in your equipment list. Please try again or reply MENU.";
    assert_eq!(message["message"], json!(wanted));
    let (_, outcome) =
        run("searchEquipmentBySN", json!({"serialNumber": "x", "customerProfile": "oops"}), |_| {});
    assert_eq!(texts(&outcome), ["no"]);
}

fn service_parameters() -> Value {
    json!({
        "customerId": "C1", "equipmentId": "EQ1", "description": "Won't start", "dropOffType": "pickup",
        "pickupRequested": "true", "pickupDate": "2026-12-01", "pickupAddress": "1 Elm St, Seattle, WA 98101",
        "customerPhone": PERSON, "equipmentName": "Honda HRX217", "equipmentSN": "MZCG-1",
    })
}

#[test]
fn a_service_order_leaves_with_the_guides_fields_and_the_flow_goes_on_at_once() {
    let (bench, outcome) = run("createServiceOrderAsync", service_parameters(), |_| {});
    let Some(Effect::PlaceOrder { id, kind, body, about, wait }) = outcome.effects.first() else { panic!() };
    assert_eq!((*kind, *wait), (OrderKind::Service, false));
    assert!(id.as_str().starts_with("OR"));
    assert_eq!(
        Value::Object(body.clone()),
        json!({
            "customer_id": "C1", "equipment_id": "EQ1", "service_type": "repair", "description": "Won't start",
            "drop_off_type": "pickup", "pickup_requested": true, "pickup_date": "2026-12-01",
            "pickup_address": "1 Elm St, Seattle, WA 98101", "customer_phone": PERSON,
            "equipment_serial": "MZCG-1",
        })
    );
    assert_eq!(
        Value::Object(about.clone()),
        json!({"equipmentName": "Honda HRX217", "description": "Won't start", "customerId": "C1", "customerPhone": PERSON})
    );
    assert_eq!(texts(&outcome), ["ok"]);
    assert_eq!(
        bench.at("/widgets/f/parsed"),
        json!({"submitted": true, "message": "Your service order has been submitted...", "queued": false})
    );
    let (bench, _) = run("createServiceOrderAsync", service_parameters(), |env| env.dealer_reachable = false);
    assert_eq!(bench.at("/widgets/f/parsed/queued"), json!(true));
    let (_, outcome) = run("createServiceOrderAsync", json!({"equipmentId": "EQ1"}), |_| {});
    assert_eq!(texts(&outcome), ["no"]);
    assert!(outcome.steps[1].note.as_deref().unwrap().contains("customerId"));
}

fn parts_parameters() -> Value {
    json!({
        "customerId": "C1", "equipmentId": "EQ1", "partNumber": "P-9", "quantity": "3", "shippingOption": "ship",
        "shippingAddress": "{\"street\": \"1 Elm St\"}", "customerPhone": PERSON,
        "equipmentName": "Honda HRX217", "partName": "Blade",
    })
}

#[test]
fn a_parts_order_waits_for_its_outcome() {
    let (mut bench, outcome) = run("createPartsOrderAsync", parts_parameters(), |_| {});
    let Some(Effect::PlaceOrder { id, kind, body, about, wait }) = outcome.effects.first() else { panic!() };
    assert_eq!((*kind, *wait), (OrderKind::Parts, true));
    assert_eq!(
        Value::Object(body.clone()),
        json!({
            "customer_id": "C1", "equipment_id": "EQ1", "items": [{"part_number": "P-9", "quantity": 3}],
            "ship_to": "ship", "shipping_address": {"street": "1 Elm St"}, "customer_phone": PERSON,
        })
    );
    assert_eq!((&about["partName"], &about["quantity"]), (&json!("Blade"), &json!("3")));
    assert_eq!(
        bench.input(Input::OrderDone(OrderId("OR0".into()), OrderAnswer::Pending)),
        Outcome::default()
    );

    let mut later = bench.execution.clone();
    let mut refused = bench.execution.clone();
    let dealer = object(json!({
        "order_id": "PO-7", "total": 38.97, "invoice_url": "http://i", "payment_url": "http://p",
        "estimated_delivery": "2026-12-01", "status": "pending",
    }));
    let done = bench.input(Input::OrderDone(id.clone(), OrderAnswer::Confirmed(dealer)));
    assert_eq!(texts(&done), ["ok"]);
    assert_eq!(
        bench.at("/widgets/f/parsed"),
        json!({"success": true, "orderId": "PO-7", "total": 38.97, "invoiceUrl": "http://i",
               "paymentUrl": "http://p", "estimatedDelivery": "2026-12-01"})
    );
    later.handle(&bench.def, Input::OrderDone(id.clone(), OrderAnswer::Pending), bench.now, &bench.env);
    assert_eq!(later.context().pointer("/widgets/f/parsed/pending"), Some(&json!(true)));
    let input = Input::OrderDone(id.clone(), OrderAnswer::Refused("400".into()));
    let done = refused.handle(&bench.def, input, bench.now, &bench.env);
    assert_eq!(texts(&done), ["ok"], "a refusal is an answer");
    assert_eq!(refused.context().pointer("/widgets/f/parsed/success"), Some(&json!(false)));
    assert_eq!(refused.context().pointer("/widgets/f/parsed/refused"), Some(&json!(true)));
}

#[test]
fn a_parts_order_to_a_dealer_out_of_reach_is_pending_at_once() {
    let (bench, outcome) =
        run("createPartsOrderAsync", parts_parameters(), |env| env.dealer_reachable = false);
    assert!(matches!(outcome.effects.first(), Some(Effect::PlaceOrder { wait: false, .. })));
    assert_eq!(texts(&outcome), ["ok"]);
    assert_eq!(bench.at("/widgets/f/parsed/pending"), json!(true));
}

#[test]
fn an_order_that_makes_no_sense_is_not_placed() {
    for (key, value) in
        [("quantity", "0"), ("quantity", "lots"), ("partNumber", ""), ("shippingAddress", "[1]")]
    {
        let mut parameters = parts_parameters();
        parameters[key] = json!(value);
        let (bench, outcome) = run("createPartsOrderAsync", parameters, |_| {});
        assert!(!outcome.effects.iter().any(|e| matches!(e, Effect::PlaceOrder { .. })), "{key}");
        assert_eq!(bench.at("/widgets/f/parsed/success"), json!(false));
    }
    for (address, expected) in [
        ("", Value::Null),
        ("\"\"", Value::Null),
        (
            "1 Elm St, Seattle, WA 98101",
            json!({"street": "1 Elm St", "city": "Seattle", "state": "WA", "zip": "98101"}),
        ),
    ] {
        let mut parameters = parts_parameters();
        parameters["shippingAddress"] = json!(address);
        let (_, outcome) = run("createPartsOrderAsync", parameters, |_| {});
        let Some(Effect::PlaceOrder { body, .. }) = outcome.effects.first() else { panic!() };
        assert_eq!(body.get("shipping_address").cloned().unwrap_or_default(), expected);
    }
}

#[test]
fn another_flow_starts_with_the_context_and_whatever_else_is_given() {
    let (bench, outcome) = run(
        "triggerFlowWithContext",
        json!({
            "targetFlow": "Schedule_Service", "customerPhone": PERSON, "equipmentId": "EQ123",
            "equipmentName": "Honda HRX217", "equipmentSN": "MZCG-1234567", "returnToService": "false",
            "returnFromParts": "true", "ProblemDescription": "Won't start",
        }),
        |_| {},
    );
    let Some(Effect::StartFlow { sid, flow, parameters }) = outcome.effects.first() else { panic!() };
    assert_eq!(flow, "Schedule_Service");
    assert_eq!(
        Value::Object(parameters.clone()),
        json!({
            "EquipmentId": "EQ123", "EquipmentName": "Honda HRX217", "EquipmentSN": "MZCG-1234567",
            "CustomerPhone": PERSON, "ReturnToService": false, "ReturnFromParts": true,
            "ProblemDescription": "Won't start",
        })
    );
    assert_eq!(
        bench.at("/widgets/f/parsed"),
        json!({"success": true, "executionSid": sid.as_str(),
               "message": "Triggered Schedule_Service with equipment context"})
    );
    let (_, outcome) = run("triggerFlowWithContext", json!({"targetFlow": "Nowhere"}), |_| {});
    assert_eq!(texts(&outcome), ["no"]);
    assert_eq!(outcome.steps[1].note.as_deref(), Some("Unknown target flow: Nowhere"));
}

#[test]
fn people_take_over_with_a_note() {
    let (_, outcome) = run("textShop", json!({"note": "Honda HRX217 won't start"}), |_| {});
    assert_eq!(outcome.effects[0], Effect::HandToPeople { note: "Honda HRX217 won't start".into() });
    assert_eq!(texts(&outcome), ["ok"]);
}

#[test]
fn an_unknown_function_fails_with_its_name() {
    let (_, outcome) = run("launchRocket", json!({}), |_| {});
    assert_eq!(texts(&outcome), ["no"]);
    assert_eq!(outcome.steps[1].note.as_deref(), Some("this box has no function \"launchRocket\""));
}

#[test]
fn dates_are_reckoned_in_the_shops_zone() {
    // 05:00 UTC on the 21st is still the 20th in Los Angeles.
    let json =
        flow(json!([function("f", "validateDate", json!({"input": "tomorrow"}), json!({"success": null}))]));
    let mut bench = Bench::new(&json);
    bench.now.wall.0 += 19 * 3_600_000;
    bench.start("hi");
    assert_eq!(
        bench.at("/widgets/f/parsed"),
        json!({"valid": true, "date": "2026-11-21", "display": "Nov 21, 2026", "message": ""})
    );
}

#[test]
fn addresses_and_quantities_are_checked() {
    let address = parsed("validateAddress", json!({"text": "123 Main St, Seattle, WA 98101"}));
    assert_eq!(address["display"], json!("123 Main St, Seattle, WA 98101"));
    assert_eq!(parsed("validateAddress", json!({"text": "Seattle"}))["valid"], json!(false));
    assert_eq!(
        parsed("validateQuantity", json!({"quantity": "12"})),
        json!({"valid": true, "quantity": 12, "message": ""})
    );
    assert_eq!(parsed("validateQuantity", json!({"quantity": "100"}))["valid"], json!(false));
}
