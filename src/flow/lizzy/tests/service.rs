//! Schedule_Service, and the guide's three context scenarios.

use serde_json::{Value, json};

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::{PHONE, fleet, profile};
use crate::flow::OrderKind;

const LIST: &str = "Your Equipment - Reply with a number:\n\
    1. Honda HRX217 - SN: MZCG-1234567 - In Service\n\
    2. Toro 450 - SN: 0042 - Active\n\
    3. Stihl MS 271 - SN: S-9 - Active\n\nReply MENU for main menu";

const PROBLEM: &str = "Honda HRX217 - Schedule Service\n\n\
    Please describe the problem or service needed (be as detailed as possible):\n\n\
    Format: Explain what's wrong or what service you need\n\n\
    Examples:\n- \"Engine won't start, makes clicking noise\"\n- \"Need oil change and blade sharpening\"\n\
    - \"Equipment runs but loses power after 10 minutes\"";

const OFFER: &str = "Honda HRX217 - Schedule Service\n\nProblem: Won't start, smells of gas\n\n\
    Would you like to order parts for this service to help expedite the repair?\n\n\
    Reply with a number:\n1. Yes, order parts now\n2. No, just schedule service\n3. Main Menu";

const DROP_OFF: &str = "Honda HRX217 - Schedule Service\n\nHow would you like to drop off? Reply with a number:\n\
    1. Drop off Today\n2. Drop off Tomorrow\n3. Schedule Pickup\n4. Main Menu";

const PICKUP: &str = "Honda HRX217 - Schedule Pickup\n\nPickup Address on File:\n12 Oak St\nSeattle, WA 98101\n\n\
    Reply with a number:\n1. Use this address\n2. Enter different address\n3. Main Menu";

const DATE: &str = "Honda HRX217 - Schedule Pickup\n\nReply with a number:\n1. Tomorrow\n2. In 2 days\n3. In 3 days\n\
    4. Next week\n5. Enter specific date\n6. Call Shop to schedule";

const SUBMITTED: &str = "Honda HRX217 - Schedule Service\n\nYour service order has been submitted. Thank you for \
    scheduling your service with Hansen Outdoor Power! We will send you a copy of your order and the option to pay \
    your invoice as soon as the order is confirmed.\n\nWhat would you like to do? Reply with a number:\n\
    1. Call Shop\n2. Text Shop\n3. Main Menu";

conversations![
    scenario_1_troubleshoot_to_schedule_service,
    scenario_2_schedule_service_to_order_parts_and_back,
    scenario_3_no_context,
    drop_off_tomorrow,
    pickup_at_the_address_on_file,
    without_a_clock_the_date_is_asked,
    pickup_at_another_address_on_a_given_date,
    pickup_without_an_address_on_file,
    pickup_is_scheduled_by_calling,
    order_waits_while_the_office_cannot_be_reached,
    order_that_cannot_be_placed_offers_people,
    courtesy_menu_leads_on,
    main_menu_is_always_a_choice,
    a_problem_needs_words,
    what_the_customer_writes_is_never_a_template,
    wrong_answers_are_asked_again,
    nobody_answers,
    context_of_a_program_is_completed_from_the_profile,
    ids_that_are_numbers_are_found,
    returning_without_a_problem_asks_for_it,
    long_lists_go_on,
];

/// Up to the drop-off options, by the main menu.
fn until_drop_off(talk: &mut Talk) {
    talk.choose("2");
    talk.says(LIST);
    talk.customer("1");
    talk.says(PROBLEM);
    talk.customer("Won't start, smells of gas");
    talk.says(OFFER);
    talk.customer("2");
    talk.says(DROP_OFF);
}

fn until_date(talk: &mut Talk) {
    until_drop_off(talk);
    talk.customer("3");
    talk.says(PICKUP);
    talk.customer("1");
    talk.says(DATE);
}

fn placed(talk: &Talk) -> Value {
    let order = talk.placed.last().expect("an order");
    assert_eq!(order.kind, OrderKind::Service);
    Value::Object(order.body.clone())
}

fn scenario_1_troubleshoot_to_schedule_service(talk: &mut Talk) {
    talk.choose("1");
    talk.says_with(&["Troubleshoot Equipment - Reply with a number:"]);
    talk.customer("1");
    talk.says(LIST);
    talk.customer("1");
    talk.says_with(&["Honda HRX217 - SN: MZCG-1234567", "Troubleshooting Resources:", "1. Schedule Service"]);
    talk.customer("1");
    // No equipment menu: the problem is asked at once.
    talk.says(PROBLEM);
    talk.customer("Won't start, smells of gas");
    talk.says(OFFER);
    talk.customer("no");
    talk.says(DROP_OFF);
    talk.customer("1");
    talk.says(SUBMITTED);
    assert_eq!(placed(talk)["equipment_id"], "EQ123");
    assert_eq!(placed(talk)["description"], "Won't start, smells of gas");
}

fn scenario_2_schedule_service_to_order_parts_and_back(talk: &mut Talk) {
    talk.choose("2");
    talk.says(LIST);
    talk.customer("1");
    talk.says(PROBLEM);
    talk.customer("Won't start, smells of gas");
    talk.says(OFFER);
    talk.customer("1");
    talk.says_with(&[
        "Top 10 Common Parts for Honda HRX217\n\nReply with a number:\n1. Air Filter - #17211-ZL8",
    ]);
    assert_eq!(talk.flow(), "Order_Parts");
    talk.asks("1", &["Honda HRX217 - Order Part\n\nAir Filter #17211-ZL8", "Enter quantity (1-99):"]);
    talk.asks("2", &["Air Filter (Qty: 2)\nTotal: $25.90"]);
    talk.customer("1");
    talk.says_with(&["Parts Order Confirmed!\n\nOrder #P-900", "\n\nReturning to service scheduling..."]);
    talk.says(DROP_OFF);
    assert_eq!(talk.flow(), "Schedule_Service");
    talk.customer("1");
    talk.says(SUBMITTED);
    let order = placed(talk);
    assert_eq!(order["customer_id"], "C100");
    assert_eq!(order["equipment_id"], "EQ123");
    assert_eq!(order["description"], "Won't start, smells of gas", "the guide's own return loses this");
    assert_eq!(order["drop_off_type"], "today");
    assert_eq!(order["service_type"], "repair");
    assert_eq!(order["pickup_requested"], false);
    assert_eq!(order["equipment_serial"], "MZCG-1234567");
    assert_eq!(order["customer_phone"], PHONE);
    assert_eq!(talk.placed.len(), 2);
    let about = &talk.placed[1].about;
    assert_eq!(about["equipmentName"], "Honda HRX217");
    assert_eq!(about["description"], "Won't start, smells of gas");
}

fn scenario_3_no_context(talk: &mut Talk) {
    talk.customer("Hi");
    talk.says_with(&["2. Schedule Service"]);
    talk.customer("2");
    talk.says(LIST);
    talk.customer("1");
    talk.says(PROBLEM);
}

fn drop_off_tomorrow(talk: &mut Talk) {
    until_drop_off(talk);
    talk.customer("2");
    talk.says(SUBMITTED);
    assert_eq!(placed(talk)["drop_off_type"], "tomorrow");
}

fn pickup_at_the_address_on_file(talk: &mut Talk) {
    for (choice, day) in
        [("1", "2026-11-21"), ("2", "2026-11-22"), ("In 3 days", "2026-11-23"), ("4.", "2026-11-27")]
    {
        until_date(talk);
        talk.customer(choice);
        talk.says_with(&[
            "Schedule Service\n\nPickup: ",
            "12 Oak St, Seattle, WA 98101\n\nYour service order has been",
        ]);
        let order = placed(talk);
        assert!(talk.waiting().starts_with("closing"));
        assert_eq!(order["drop_off_type"], "pickup");
        assert_eq!(order["pickup_requested"], true);
        assert_eq!(order["pickup_date"], day);
        assert_eq!(order["pickup_address"], "12 Oak St, Seattle, WA 98101");
        talk.asks("thanks", &["You are welcome!"]);
    }
}

/// A box without a network since it was switched on, on a board without a battery.
fn without_a_clock_the_date_is_asked(talk: &mut Talk) {
    until_date(talk);
    talk.clock_was_never_set();
    talk.asks("1", &["Enter date in format MM/DD/YYYY"]);
    talk.asks("12/25/2026", &["Pickup: Dec 25, 2026", "submitted"]);
    assert_eq!(placed(talk)["pickup_date"], "2026-12-25");
}

fn pickup_at_another_address_on_a_given_date(talk: &mut Talk) {
    until_drop_off(talk);
    talk.customer("pickup");
    talk.says(PICKUP);
    talk.customer("2");
    talk.says("Enter pickup address: Street, City, State ZIP\nExample: 123 Main St, Seattle, WA 98101");
    talk.asks("at my place", &["Please enter: Street, City, State ZIP\nExample: 123 Main St"]);
    talk.customer("77 Pine Ave, Tacoma, WA 98402");
    talk.says(DATE);
    talk.customer("5");
    talk.says("Enter date in format MM/DD/YYYY (within 3 months)\nExample: 12/25/2025");
    talk.asks("01/02/2020", &["That date is in the past."]);
    talk.asks("02/30/2027", &["02/30/2027 is not a date in the calendar."]);
    talk.customer("12/25/2026");
    talk.says_with(&[
        "Pickup: Dec 25, 2026, 77 Pine Ave, Tacoma, WA 98402",
        "Your service order has been submitted.",
    ]);
    assert_eq!(placed(talk)["pickup_date"], "2026-12-25");
    assert_eq!(placed(talk)["pickup_address"], "77 Pine Ave, Tacoma, WA 98402");
}

fn pickup_without_an_address_on_file(talk: &mut Talk) {
    let mut homeless = profile();
    homeless.as_object_mut().unwrap().remove("addresses");
    talk.profile = Answers::Fresh(homeless);
    until_drop_off(talk);
    talk.asks("3", &["Enter pickup address: Street, City, State ZIP"]);
}

fn pickup_is_scheduled_by_calling(talk: &mut Talk) {
    until_date(talk);
    talk.customer("6");
    talk.says(
        "Please call Hansen Outdoor Power at (206) 555-0100 to schedule your pickup.\n\nReply MENU for main menu",
    );
    talk.is_over();
    assert!(talk.placed.is_empty());
}

fn order_waits_while_the_office_cannot_be_reached(talk: &mut Talk) {
    until_drop_off(talk);
    talk.dealer_unreachable();
    talk.customer("1");
    talk.says(
        "Honda HRX217 - Schedule Service\n\nOur office system cannot be reached right now. Your service order is saved \
         and goes out as soon as it is back. Thank you for scheduling your service with Hansen Outdoor Power! We will \
         text you as soon as the order is confirmed.\n\nWhat would you like to do? Reply with a number:\n\
         1. Call Shop\n2. Text Shop\n3. Main Menu",
    );
    assert_eq!(placed(talk)["description"], "Won't start, smells of gas");
}

/// A dealer whose customers have no id: nothing can be ordered for them.
fn order_that_cannot_be_placed_offers_people(talk: &mut Talk) {
    let mut nobody = profile();
    nobody["customer_id"] = Value::Null;
    talk.profile = Answers::Fresh(nobody);
    until_drop_off(talk);
    talk.asks("1", &["Your service could not be scheduled automatically. Please contact Hansen"]);
    assert_eq!(talk.flow(), "Order_Failed");
    assert!(talk.placed.is_empty());
    talk.asks("1", &["You are now texting"]);
    assert_eq!(
        talk.handed,
        [
            "The dealer refused the service order. Equipment: Honda HRX217. Problem: Won't start, smells of gas"
        ]
    );
}

fn courtesy_menu_leads_on(talk: &mut Talk) {
    for (answer, said) in [
        ("1", "You can call Hansen Outdoor Power at (206) 555-0100."),
        ("2", "You are now texting with the staff"),
        ("Thank you!", "You are welcome! Text us any time."),
        ("3", "1. Troubleshoot Equipment"),
    ] {
        talk.asks("menu", &["Hansen"]);
        talk.customer("2");
        talk.says(LIST);
        talk.customer("1");
        talk.says(PROBLEM);
        talk.customer("Won't start, smells of gas");
        talk.says(OFFER);
        talk.customer("2");
        talk.says(DROP_OFF);
        talk.customer("1");
        talk.says(SUBMITTED);
        assert!(talk.waiting().starts_with("closing"));
        talk.asks(answer, &[said]);
    }
    assert_eq!(
        talk.handed,
        ["Asked for a person while scheduling service. Equipment: Honda HRX217, SN MZCG-1234567. \
                              Problem: Won't start, smells of gas"]
    );
    talk.silence();
    talk.says_with(&["We have not heard"]);
    until_drop_off(talk);
    talk.customer("1");
    talk.says(SUBMITTED);
    talk.silence();
    talk.says("Thank you for texting Hansen Outdoor Power. Reply MENU any time for the main menu.");
    talk.is_over();
    until_drop_off(talk);
    talk.customer("1");
    talk.says(SUBMITTED);
    // The confirmation is not said again: it would look like a second order.
    talk.customer("9");
    talk.says(
        "Sorry, that is not one of the choices.\n\nWhat would you like to do? Reply with a number:\n\
         1. Call Shop\n2. Text Shop\n3. Main Menu",
    );
    talk.asks("3", &["1. Troubleshoot Equipment"]);
    talk.silence();
    talk.says_with(&["We have not heard"]);
    until_drop_off(talk);
    talk.customer("1");
    talk.says(SUBMITTED);
    talk.tires_of("9", "Sorry, that is not one of the choices.");
    assert_eq!(talk.placed.len(), 7, "one order for each time that the menu was reached");
}

fn main_menu_is_always_a_choice(talk: &mut Talk) {
    for (path, choice) in [(&[][..], "3"), (&["2"][..], "4"), (&["2", "3"][..], "3")] {
        talk.program("Schedule_Service", json!({"EquipmentId": "EQ123"}));
        talk.says(PROBLEM);
        talk.asks("No spark", &["Problem: No spark"]);
        for answer in path {
            talk.asks(answer, &["Schedule"]);
        }
        talk.asks(choice, &["1. Troubleshoot Equipment"]);
        assert_eq!(talk.flow(), "Main_Menu");
    }
}

fn a_problem_needs_words(talk: &mut Talk) {
    talk.choose("2");
    talk.says(LIST);
    talk.customer("1");
    talk.says(PROBLEM);
    for slip in ["1", "ok", "12345678901"] {
        talk.customer(slip);
        talk.says(&format!("Sorry, we need a few words to go on.\n\n{PROBLEM}"));
    }
    talk.asks("Oil!\n\nand blade", &["Problem: Oil!\n\nand blade\n\nWould you"]);
    talk.asks("2", &["drop off?"]);
    talk.asks("1", &["submitted"]);
    assert_eq!(placed(talk)["description"], "Oil!\n\nand blade");
}

/// Braces and quotes of a customer are text on every way: prompt, context of the next flow, note, order.
fn what_the_customer_writes_is_never_a_template(talk: &mut Talk) {
    let problem = r#"Won't "start" {{env.SHOP_PHONE}} {% if true %} \ <b> & 100%"#;
    talk.choose("2");
    talk.says(LIST);
    talk.customer("1");
    talk.says(PROBLEM);
    talk.asks(problem, &["\n\nProblem: ", problem, "\n\nWould you"]);
    talk.asks("1", &["Top 10 Common Parts"]);
    talk.asks("2", &["Blade"]);
    talk.asks("1", &["Blade (Qty: 1)"]);
    talk.asks("3", &["Returning to service scheduling..."]);
    talk.says(DROP_OFF);
    talk.customer("2");
    talk.says(SUBMITTED);
    assert_eq!(placed(talk)["description"], problem);
    talk.asks("2", &["You are now texting"]);
    assert!(talk.handed[0].ends_with(problem), "{:?}", talk.handed);
}

const STEPS: [(&[&str], &str); 8] = [
    (&[], "?"),
    (&["1"], "?"),
    (&["1", "No spark"], "4"),
    (&["1", "No spark", "2"], "5"),
    (&["1", "No spark", "2", "3"], "4"),
    (&["1", "No spark", "2", "3", "2"], "home"),
    (&["1", "No spark", "2", "3", "1"], "7"),
    (&["1", "No spark", "2", "3", "1", "5"], "someday"),
];

fn wrong_answers_are_asked_again(talk: &mut Talk) {
    for (path, wrong) in STEPS {
        talk.program("Schedule_Service", json!({}));
        talk.says(LIST);
        for answer in path {
            talk.asks(answer, &[""]);
        }
        talk.tires_of(wrong, "");
        assert!(talk.placed.is_empty());
    }
}

fn nobody_answers(talk: &mut Talk) {
    for (path, _) in STEPS {
        talk.program("Schedule_Service", json!({}));
        talk.says(LIST);
        for answer in path {
            talk.asks(answer, &[""]);
        }
        talk.silence();
        talk.says_with(&["We have not heard from you for a while"]);
        talk.is_over();
        assert!(talk.placed.is_empty());
    }
}

fn context_of_a_program_is_completed_from_the_profile(talk: &mut Talk) {
    talk.program(
        "Schedule_Service",
        json!({"EquipmentId": "EQ124", "ReturnFromParts": true, "ProblemDescription": "Belt slips"}),
    );
    talk.says_with(&["Toro 450 - Schedule Service\n\nHow would you like to drop off?"]);
    talk.asks("4", &["Hansen"]);
    talk.asks("2", &["Your Equipment"]);
    talk.program("Schedule_Service", json!({"EquipmentId": "EQ123", "EquipmentName": "The red mower"}));
    talk.says_with(&["The red mower - Schedule Service\n\nPlease describe"]);
    assert!(talk.requests.iter().all(|url| url.contains(&PHONE.replace('+', "%2B"))));
}

fn ids_that_are_numbers_are_found(talk: &mut Talk) {
    let mut numbered = profile();
    numbered["equipment"][1]["equipment_id"] = json!(77);
    talk.profile = Answers::Fresh(numbered);
    talk.program("Schedule_Service", json!({"EquipmentId": "77"}));
    talk.says_with(&["Toro 450 - Schedule Service"]);
}

/// A shop's own Order_Parts may lose the problem, as the guide's does.
fn returning_without_a_problem_asks_for_it(talk: &mut Talk) {
    talk.program(
        "Schedule_Service",
        json!({"EquipmentId": "EQ123", "EquipmentName": "Honda HRX217", "ReturnFromParts": true}),
    );
    talk.says(PROBLEM);
}

fn long_lists_go_on(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(12));
    talk.choose("2");
    talk.says_with(&["10. Exmark M10 - SN: X-10 - Active\n11. Show More Equipment\n\nReply MENU"]);
    talk.asks("11", &["Your Equipment - Reply with a number:\n1. Exmark M11"]);
    talk.asks("2", &["Exmark M12 - Schedule Service\n\nPlease describe"]);
    talk.asks("Broken", &["Problem: Broken"]);
    talk.asks("2", &["drop off"]);
    talk.asks("1", &["submitted"]);
    assert_eq!(placed(talk)["equipment_id"], "12");
}
