//! Order_Parts.

use std::time::Duration;

use serde_json::{Value, json};

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::{PHONE, fleet, profile};
use crate::flow::{OrderAnswer, OrderKind};

const PARTS: &str = "Top 10 Common Parts for Honda HRX217\n\nReply with a number:\n\
    1. Air Filter - #17211-ZL8 - $12.95\n2. Blade - #72511-VE2 - $21.50\n\
    11. Text Shop for other parts\n12. Main Menu";

const QUANTITY: &str = "Honda HRX217 - Order Part\n\nAir Filter #17211-ZL8\nPrice: $12.95\nAvailability: 2-3 days\n\n\
    To order multiple parts, complete this order and start a new one.\n\nEnter quantity (1-99):";

const SHIPPING: &str = "Honda HRX217 - Order Parts\n\nAir Filter (Qty: 2)\nTotal: $25.90\n\n\
    Ship To: 12 Oak St, Seattle, WA 98101\n\n\
    Reply with a number:\n1. Ship to address above\n2. Change Ship-To Address\n3. Will Call (Pick up at shop)\n\
    4. Main Menu";

const CONFIRMED: &str = "Parts Order Confirmed!\n\nOrder #P-900\nHonda HRX217 - Air Filter (Qty: 2)\nTotal: $25.90\n\n\
    Ship to: 12 Oak St, Seattle, WA 98101\nEst. Delivery: Nov 27, 2026\n\n\
    View Invoice: https://i.example/900\nPay Now: https://p.example/900";

const CLOSING: &str = "\n\nReply with a number:\n1. Call Shop\n2. Text Shop\n3. Main Menu";

conversations![
    a_part_is_ordered_to_the_address_on_file,
    emoji_appear_when_the_owner_wants_them,
    a_part_is_shipped_elsewhere,
    a_part_is_picked_up,
    an_order_is_pending,
    a_pending_order_goes_back_to_service,
    a_refused_order_offers_people,
    a_refused_order_goes_back_to_service,
    an_order_that_cannot_be_placed_offers_people,
    other_parts_are_texted_for,
    main_menu_is_always_a_choice,
    equipment_without_parts_offers_people,
    equipment_without_parts_goes_back_to_service,
    many_parts_go_on_page_by_page,
    long_lists_of_equipment_go_on,
    a_part_without_a_price_has_none,
    without_an_address_on_file_it_must_be_given,
    courtesy_menu_leads_on,
    wrong_answers_are_asked_again,
    nobody_answers,
    an_old_parts_list_says_so,
];

fn until_quantity(talk: &mut Talk) {
    talk.program("Order_Parts", json!({}));
    talk.says_with(&["Your Equipment - Reply with a number:\n1. Honda HRX217"]);
    talk.customer("1");
    talk.says(PARTS);
    talk.customer("1");
    talk.says(QUANTITY);
}

fn until_shipping(talk: &mut Talk) {
    until_quantity(talk);
    talk.customer("2");
    talk.says(SHIPPING);
}

fn from_service(talk: &mut Talk) {
    let context = json!({"EquipmentId": "EQ123", "EquipmentName": "Honda HRX217", "EquipmentSN": "MZCG-1234567",
        "ReturnToService": true, "ReturnFromParts": false, "ProblemDescription": "No spark"});
    talk.program("Order_Parts", context);
}

fn a_part_is_ordered_to_the_address_on_file(talk: &mut Talk) {
    until_shipping(talk);
    talk.customer("1");
    talk.says(&format!("{CONFIRMED}{CLOSING}"));
    let order = talk.placed.last().unwrap();
    assert_eq!(order.kind, OrderKind::Parts);
    assert_eq!(
        Value::Object(order.body.clone()),
        json!({
            "customer_id": "C100",
            "equipment_id": "EQ123",
            "items": [{"part_number": "17211-ZL8", "quantity": 2}],
            "ship_to": "primary",
            "shipping_address": {"street": "12 Oak St", "city": "Seattle", "state": "WA", "zip": "98101"},
            "customer_phone": PHONE,
            "equipment_serial": "MZCG-1234567"
        })
    );
}

fn emoji_appear_when_the_owner_wants_them(talk: &mut Talk) {
    talk.emoji();
    talk.program("Order_Parts", json!({"EquipmentId": "EQ123"}));
    talk.says(PARTS);
    talk.customer("1");
    talk.says(&QUANTITY.replace("Price:", "💵 Price:").replace("Availability:", "📦 Availability:"));
    talk.customer("2");
    talk.says(SHIPPING);
    talk.customer("1");
    let marked = CONFIRMED
        .replace("Parts Order Confirmed!", "✅ Parts Order Confirmed!")
        .replace("Ship to:", "📦 Ship to:")
        .replace("Est. Delivery:", "🚚 Est. Delivery:")
        .replace("View Invoice:", "📄 View Invoice:")
        .replace("Pay Now:", "💳 Pay Now:");
    talk.says(&format!("{marked}{CLOSING}"));
}

fn a_part_is_shipped_elsewhere(talk: &mut Talk) {
    until_shipping(talk);
    talk.customer("2");
    talk.says("Enter shipping address: Street, City, State ZIP\nExample: 123 Main St, Seattle, WA 98101");
    talk.asks("12", &["Please enter: Street, City, State ZIP\nExample: 123 Main St"]);
    talk.asks("77 Pine Ave, Tacoma, WA 98402", &["Ship to: 77 Pine Ave, Tacoma, WA 98402"]);
    let body = &talk.placed.last().unwrap().body;
    assert_eq!(body["ship_to"], "other");
    assert_eq!(
        body["shipping_address"],
        json!({"street": "77 Pine Ave", "city": "Tacoma", "state": "WA", "zip": "98402"})
    );
}

fn a_part_is_picked_up(talk: &mut Talk) {
    until_shipping(talk);
    talk.asks("3", &["Confirmed!", "\n\nShip to: Will Call (Pick up at shop)\n"]);
    let body = &talk.placed.last().unwrap().body;
    assert_eq!(body["ship_to"], "will_call");
    assert_eq!(body.get("shipping_address"), None);
}

fn an_order_is_pending(talk: &mut Talk) {
    talk.order_outcome = OrderAnswer::Pending;
    until_shipping(talk);
    talk.customer("1");
    talk.says(&format!(
        "Parts order saved.\n\nHonda HRX217 - Air Filter (Qty: 2)\nTotal: $25.90\n\nShip to: 12 Oak St, Seattle, WA \
         98101\n\nOur office system has not confirmed it yet. We will text you when it is confirmed.{CLOSING}"
    ));
}

fn a_pending_order_goes_back_to_service(talk: &mut Talk) {
    talk.order_outcome = OrderAnswer::Pending;
    from_service(talk);
    talk.says(PARTS);
    talk.customer("1");
    talk.says(QUANTITY);
    talk.customer("2");
    talk.says(SHIPPING);
    talk.asks("1", &["Parts order saved.", "has not confirmed it yet", "Returning to service scheduling..."]);
    talk.says_with(&["Honda HRX217 - Schedule Service\n\nHow would you like to drop off?"]);
}

fn a_refused_order_offers_people(talk: &mut Talk) {
    talk.order_outcome = OrderAnswer::Refused("no such part".into());
    until_shipping(talk);
    talk.customer("1");
    talk.says(
        "Parts order could not be created. Please contact Hansen Outdoor Power.\n\nReply with:\n1. Text Shop\n\
         2. Call Shop\n3. Main Menu",
    );
    assert_eq!(talk.flow(), "Order_Failed");
    talk.asks("1", &["You are now texting"]);
    assert_eq!(
        talk.handed,
        ["The dealer refused the parts order. Equipment: Honda HRX217. Part: Air Filter."]
    );
}

fn a_refused_order_goes_back_to_service(talk: &mut Talk) {
    talk.order_outcome = OrderAnswer::Refused("no such part".into());
    from_service(talk);
    talk.says(PARTS);
    talk.customer("1");
    talk.says(QUANTITY);
    talk.customer("2");
    talk.says(SHIPPING);
    talk.customer("1");
    talk.says(
        "Parts order could not be created. Please contact Hansen Outdoor Power at (206) 555-0100.\n\n\
         Returning to service scheduling...",
    );
    talk.says_with(&["Honda HRX217 - Schedule Service\n\nHow would you like to drop off?"]);
    talk.asks("1", &["Your service order has been submitted"]);
    assert_eq!(talk.placed[1].body["description"], "No spark");
}

fn an_order_that_cannot_be_placed_offers_people(talk: &mut Talk) {
    let mut nobody = profile();
    nobody["customer_id"] = Value::Null;
    talk.profile = Answers::Fresh(nobody);
    until_shipping(talk);
    talk.asks("1", &["Parts order could not be created. Please contact Hansen Outdoor Power."]);
    assert!(talk.placed.is_empty());
}

fn other_parts_are_texted_for(talk: &mut Talk) {
    from_service(talk);
    talk.says(PARTS);
    talk.asks("11", &["You are now texting with the staff"]);
    talk.is_over();
    assert_eq!(
        talk.handed,
        ["Asked for a person while ordering parts. Equipment: Honda HRX217, SN MZCG-1234567. Was \
                              scheduling service, problem: No spark"]
    );
}

fn main_menu_is_always_a_choice(talk: &mut Talk) {
    talk.program("Order_Parts", json!({"EquipmentId": "EQ123"}));
    talk.says(PARTS);
    talk.asks("12", &["1. Troubleshoot Equipment"]);
    until_shipping(talk);
    talk.asks("4", &["1. Troubleshoot Equipment"]);
    talk.program("Order_Parts", json!({"EquipmentId": "EQ124"}));
    talk.says_with(&["We have no parts list"]);
    talk.asks("2", &["1. Troubleshoot Equipment"]);
}

fn equipment_without_parts_offers_people(talk: &mut Talk) {
    talk.program("Order_Parts", json!({"EquipmentId": "EQ124"}));
    talk.says(
        "We have no parts list on file for Toro 450.\n\nReply with a number:\n1. Text Shop for other parts\n2. Main Menu",
    );
    talk.asks("1", &["You are now texting"]);
    assert_eq!(talk.handed, ["Asked for a person while ordering parts. Equipment: Toro 450, SN 0042."]);
}

fn equipment_without_parts_goes_back_to_service(talk: &mut Talk) {
    let context =
        json!({"EquipmentId": "EQ124", "ReturnToService": true, "ProblemDescription": "Belt slips"});
    talk.program("Order_Parts", context);
    talk.says("We have no parts list on file for Toro 450.\n\nReturning to service scheduling...");
    talk.says_with(&["Toro 450 - Schedule Service\n\nHow would you like to drop off?"]);
}

fn many_parts_go_on_page_by_page(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(21));
    talk.program("Order_Parts", json!({"EquipmentId": "1"}));
    talk.says_with(&[
        "Top 10 Common Parts for Exmark M1\n\nReply with a number:\n1. Part 1 - #P-1 - $1.00\n",
        "\n10. Part 10 - #P-10 - $10.00\n11. Text Shop for other parts\n12. Main Menu\n13. Show More Parts",
    ]);
    talk.asks("13", &["More Parts for Exmark M1\n\nReply with a number:\n1. Part 11", "13. Show More Parts"]);
    talk.asks(
        "13",
        &["More Parts for Exmark M1", "1. Part 21 - #P-21 - $21.00\n11. Text Shop", "12. Main Menu"],
    );
    talk.asks("13", &["Sorry", "1. Part 21"]);
    talk.asks("2", &["Sorry", "1. Part 21"]);
    talk.asks("1", &["Part 21 #P-21\nPrice: $21.00"]);
}

fn long_lists_of_equipment_go_on(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(12));
    talk.program("Order_Parts", json!({}));
    talk.says_with(&["11. Show More Equipment"]);
    talk.asks("11", &["2. Exmark M12"]);
    talk.asks("2", &["Top 10 Common Parts for Exmark M12"]);
}

fn a_part_without_a_price_has_none(talk: &mut Talk) {
    talk.program("Order_Parts", json!({"EquipmentId": "EQ125"}));
    talk.says_with(&["\n1. Chain - #1141-640\n11. Text"]);
    talk.asks("1", &["Order Part\n\nChain #1141-640\nAvailability: Ask\n\n"]);
    talk.asks("1", &["Chain (Qty: 1)\n\nShip To:"]);
}

fn without_an_address_on_file_it_must_be_given(talk: &mut Talk) {
    let mut homeless = profile();
    homeless.as_object_mut().unwrap().remove("addresses");
    talk.profile = Answers::Fresh(homeless);
    until_quantity(talk);
    talk.customer("2");
    talk.says(
        "Honda HRX217 - Order Parts\n\nAir Filter (Qty: 2)\nTotal: $25.90\n\nReply with a number:\n\
         2. Change Ship-To Address\n3. Will Call (Pick up at shop)\n4. Main Menu",
    );
    talk.asks("1", &["Sorry, that is not one of the choices.", "2. Change"]);
    talk.asks("2", &["Enter shipping address"]);
}

fn courtesy_menu_leads_on(talk: &mut Talk) {
    for (answer, said) in [
        ("1", "You can call Hansen Outdoor Power"),
        ("2", "You are now texting with the staff"),
        ("3", "1. Troubleshoot Equipment"),
        ("ok", "You are welcome!"),
    ] {
        until_shipping(talk);
        talk.asks("3", &["Confirmed!"]);
        assert!(talk.waiting().starts_with("closing"));
        talk.asks(answer, &[said]);
    }
    until_shipping(talk);
    talk.asks("3", &["Confirmed!"]);
    talk.silence();
    talk.says_with(&["Thank you for texting Hansen Outdoor Power."]);
    until_shipping(talk);
    talk.asks("3", &["Confirmed!"]);
    talk.tires_of("4", "Sorry, that is not one of the choices.");
}

fn paths() -> Vec<(Value, Vec<&'static str>, &'static str)> {
    let honda = json!({"EquipmentId": "EQ123"});
    vec![
        (json!({}), vec![], "4"),
        (honda.clone(), vec![], "3"),
        (honda.clone(), vec!["1"], "0"),
        (honda.clone(), vec!["1"], "100"),
        (honda.clone(), vec!["1"], "many"),
        (honda.clone(), vec!["1", "99"], "5"),
        (honda, vec!["1", "99", "2"], "nowhere"),
        (json!({"EquipmentId": "EQ124"}), vec![], "3"),
    ]
}

fn wrong_answers_are_asked_again(talk: &mut Talk) {
    for (context, path, wrong) in paths() {
        talk.program("Order_Parts", context);
        talk.says_with(&[""]);
        for answer in path {
            talk.asks(answer, &[""]);
        }
        talk.tires_of(wrong, "");
    }
    assert!(talk.placed.is_empty());
}

fn nobody_answers(talk: &mut Talk) {
    for (context, path, _) in paths() {
        talk.program("Order_Parts", context);
        talk.says_with(&[""]);
        for answer in path {
            talk.asks(answer, &[""]);
        }
        talk.silence();
        talk.says_with(&["We have not heard from you for a while"]);
        talk.is_over();
    }
    assert!(talk.placed.is_empty());
}

fn an_old_parts_list_says_so(talk: &mut Talk) {
    talk.profile = Answers::Stale(profile(), Duration::from_secs(50 * 3600));
    talk.program("Order_Parts", json!({"EquipmentId": "EQ123"}));
    talk.says(&format!("{PARTS}\n\nOur office system is offline; this was true 2 days ago."));
}
