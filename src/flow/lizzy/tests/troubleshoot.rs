//! Troubleshoot_Equipment: list, type and model, SKU, serial number, and the way on to the other flows.

use std::time::Duration;

use serde_json::{Value, json};

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::{fleet, profile};

const MENU: &str = "Troubleshoot Equipment - Reply with a number:\n1. Choose from Equipment List\n\
    2. Filter by Type and Model\n3. Search by SKU\n4. Search by Serial Number\n\nReply MENU for main menu";

const LIST: &str = "Your Equipment - Reply with a number:\n\
    1. Honda HRX217 - SN: MZCG-1234567 - In Service\n\
    2. Toro 450 - SN: 0042 - Active\n\
    3. Stihl MS 271 - SN: S-9 - Active\n\nReply MENU for main menu";

const HONDA: &str = "Honda HRX217 - SN: MZCG-1234567\n\nTroubleshooting Resources:\n\
    Tutorial: https://v.example/hrx217\nManual: https://m.example/hrx217.pdf\n\n\
    What would you like to do? Reply with a number:\n1. Schedule Service\n2. Order Parts\n3. Check Service Status\n\
    4. Check Parts Order Status\n5. View or Pay Invoice\n6. Text or Call Dealer\n7. Main Menu";

conversations![
    equipment_is_chosen_from_the_list,
    emoji_appear_when_the_owner_wants_them,
    a_list_that_is_old_says_so,
    equipment_is_found_by_type_and_model,
    several_of_a_model_are_listed,
    equipment_without_types_or_models_is_listed,
    equipment_is_found_by_sku,
    equipment_is_found_by_serial_number,
    every_exit_leads_on_with_the_context,
    service_status_is_offered_only_in_service,
    long_lists_go_on_page_by_page,
    long_lists_of_types_and_models_go_on,
    wrong_answers_are_asked_again,
    searches_without_success_end_with_the_number,
    nobody_answers,
    a_customer_without_equipment_finds_people,
    wrong_answers_are_forgotten_on_the_next_page,
];

fn start(talk: &mut Talk, choice: &str) {
    talk.choose("1");
    talk.says(MENU);
    talk.customer(choice);
}

fn equipment_is_chosen_from_the_list(talk: &mut Talk) {
    start(talk, "1");
    talk.says(LIST);
    talk.customer("1");
    talk.says(HONDA);
}

fn emoji_appear_when_the_owner_wants_them(talk: &mut Talk) {
    talk.emoji();
    start(talk, "1");
    talk.says(LIST);
    talk.customer("1");
    talk.says(&HONDA.replace("Tutorial:", "📺 Tutorial:").replace("Manual:", "📖 Manual:"));
}

fn a_list_that_is_old_says_so(talk: &mut Talk) {
    talk.profile = Answers::Stale(profile(), Duration::from_secs(3 * 3600));
    start(talk, "1");
    talk.says(&format!("{LIST}\n\nOur office system is offline; this was true 3 hours ago."));
}

fn equipment_is_found_by_type_and_model(talk: &mut Talk) {
    start(talk, "2");
    talk.says(
        "Which type of equipment? Reply with a number:\n1. Mower\n2. Chainsaw\n\nReply MENU for main menu",
    );
    talk.customer("1");
    talk.says("Which model? Reply with a number:\n1. Honda HRX217\n2. Toro 450\n\nReply MENU for main menu");
    talk.asks("2", &["Toro 450 - SN: 0042\n\nTroubleshooting Resources:\nNone on file yet.\n\nWhat would"]);
}

fn several_of_a_model_are_listed(talk: &mut Talk) {
    let mut two = profile();
    two["equipment"][1]["model"] = "HRX217".into();
    two["equipment"][1]["make"] = "Honda".into();
    talk.profile = Answers::Fresh(two);
    start(talk, "2");
    talk.says_with(&["1. Mower"]);
    talk.customer("1");
    talk.says("Which model? Reply with a number:\n1. Honda HRX217\n\nReply MENU for main menu");
    talk.customer("1");
    talk.says(
        "Your Equipment - Reply with a number:\n1. Honda HRX217 - SN: MZCG-1234567 - In Service\n\
         2. Honda HRX217 - SN: 0042 - Active\n\nReply MENU for main menu",
    );
    talk.asks("2", &["Honda HRX217 - SN: 0042\n"]);
}

fn equipment_without_types_or_models_is_listed(talk: &mut Talk) {
    let mut bare = profile();
    for one in bare["equipment"].as_array_mut().unwrap() {
        one.as_object_mut().unwrap().remove("unit_type");
    }
    talk.profile = Answers::Fresh(bare);
    start(talk, "2");
    talk.says(LIST);
    let mut bare = profile();
    bare["equipment"][2].as_object_mut().unwrap().remove("model");
    talk.profile = Answers::Fresh(bare);
    talk.customer("menu");
    talk.says_with(&["Hansen"]);
    talk.asks("1", &["2. Filter"]);
    talk.asks("2", &["2. Chainsaw"]);
    talk.asks("2", &["Your Equipment - Reply with a number:\n1. Stihl"]);
}

fn equipment_is_found_by_sku(talk: &mut Talk) {
    start(talk, "3");
    talk.says("Enter the SKU of your equipment:\n\nReply MENU for main menu");
    talk.customer("hrx217vka");
    talk.says(HONDA);
}

fn equipment_is_found_by_serial_number(talk: &mut Talk) {
    start(talk, "4");
    talk.says("Enter the serial number of your equipment:\n\nReply MENU for main menu");
    talk.customer(" mzcg-1234567 ");
    talk.says(HONDA);
}

fn every_exit_leads_on_with_the_context(talk: &mut Talk) {
    for (choice, flow, said) in [
        ("1", "Schedule_Service", "Honda HRX217 - Schedule Service"),
        ("2", "Order_Parts", "Top 10 Common Parts for Honda HRX217"),
        ("3", "Service_Status", "1. Honda HRX217 - in progress - #S-8"),
        ("4", "Parts_Order_Status", "Your Parts Orders"),
        ("5", "View_Pay_Invoice", "View or Pay Invoice"),
        ("7", "Main_Menu", "Hansen Outdoor Power"),
    ] {
        talk.customer("menu");
        talk.says_with(&["Hansen"]);
        talk.asks("1", &["Troubleshoot"]);
        talk.asks("list", &["Your Equipment"]);
        talk.customer("1. Honda");
        talk.says(HONDA);
        talk.asks(choice, &[said]);
        assert_eq!(talk.flow(), flow);
    }
    for (choice, said) in [("1", "You are now texting"), ("2", "You can call"), ("3", "Hansen")] {
        talk.customer("menu");
        talk.says_with(&["Hansen"]);
        talk.asks("1", &["Troubleshoot"]);
        talk.asks("4", &["Enter the serial"]);
        talk.customer("MZCG-1234567");
        talk.says(HONDA);
        talk.customer("6");
        talk.says("Text or Call Dealer - Reply with a number:\n1. Text Shop\n2. Call Shop\n3. Main Menu");
        talk.asks(choice, &[said]);
    }
    assert_eq!(
        talk.handed,
        ["Asked for a person while troubleshooting. Equipment: Honda HRX217, SN MZCG-1234567."]
    );
}

fn service_status_is_offered_only_in_service(talk: &mut Talk) {
    start(talk, "1");
    talk.says(LIST);
    talk.customer("2");
    talk.says(
        "Toro 450 - SN: 0042\n\nTroubleshooting Resources:\nNone on file yet.\n\n\
         What would you like to do? Reply with a number:\n1. Schedule Service\n2. Order Parts\n\
         4. Check Parts Order Status\n5. View or Pay Invoice\n6. Text or Call Dealer\n7. Main Menu",
    );
    talk.tires_of("3", "Sorry, that is not one of the choices.");
}

fn long_lists_go_on_page_by_page(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(23));
    start(talk, "1");
    talk.says_with(&[
        "Your Equipment",
        "\n10. Exmark M10 - SN: X-10 - Active\n11. Show More Equipment\n\nReply MENU",
    ]);
    talk.asks(
        "11",
        &["Your Equipment - Reply with a number:\n1. Exmark M11 ", "\n10. Exmark M20", "11. Show More"],
    );
    talk.asks(
        "more",
        &["Your Equipment - Reply with a number:\n1. Exmark M21 ", "3. Exmark M23 - SN: X-23 - Active\n\nR"],
    );
    talk.asks("4", &["Sorry", "3. Exmark M23"]);
    talk.asks("11", &["Sorry", "3. Exmark M23"]);
    talk.asks("3", &["Exmark M23 - SN: X-23\n"]);
}

fn long_lists_of_types_and_models_go_on(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(11));
    start(talk, "2");
    talk.says_with(&["10. Type 10\n11. Show More Types"]);
    talk.asks("11", &["number:\n1. Type 11\n\nReply"]);
    talk.asks("1", &["number:\n1. Exmark M11\n\nReply"]);
    let mut one_type = fleet(11);
    for one in one_type["equipment"].as_array_mut().unwrap() {
        one["unit_type"] = Value::from("Mower");
    }
    talk.profile = Answers::Fresh(one_type);
    talk.customer("menu");
    talk.says_with(&["Hansen"]);
    talk.asks("1", &["2. Filter"]);
    talk.asks("2", &["1. Mower"]);
    talk.asks("1", &["10. Exmark M10\n11. Show More Models"]);
    talk.asks("11", &["number:\n1. Exmark M11\n\nReply"]);
    talk.asks("1", &["Exmark M11 - SN: X-11"]);
}

fn wrong_answers_are_asked_again(talk: &mut Talk) {
    start(talk, "5");
    talk.says_with(&["Sorry, that is not one of the choices.\n\nTroubleshoot Equipment"]);
    talk.asks("5", &["Sorry"]);
    talk.asks("5", &["Sorry"]);
    talk.asks("5", &["Please call"]);
    talk.is_over();
    for (choice, wrong) in [("1", "4"), ("1", ""), ("1", "one and two"), ("1", "1e0"), ("2", "-1")] {
        start(talk, choice);
        talk.says_with(&["Reply with a number:"]);
        talk.tires_of(wrong, "Sorry, that is not one of the choices.");
    }
    start(talk, "2");
    talk.says_with(&["1. Mower"]);
    talk.asks("1", &["Which model"]);
    talk.tires_of("Honda", "Sorry, that is not one of the choices.");
    start(talk, "1");
    talk.says(LIST);
    talk.customer("1");
    talk.says(HONDA);
    talk.customer("8");
    talk.says(&format!("Sorry, that is not one of the choices.\n\n{HONDA}"));
    talk.asks("6", &["Text or Call Dealer"]);
    talk.tires_of("6", "Sorry, that is not one of the choices.");
}

fn searches_without_success_end_with_the_number(talk: &mut Talk) {
    start(talk, "3");
    talk.says_with(&["Enter the SKU"]);
    talk.tires_of(
        "nope",
        "SKU not found in your equipment list. Please try again or reply MENU.\n\nEnter the SKU",
    );
    start(talk, "4");
    talk.says_with(&["Enter the serial number"]);
    talk.tires_of(
        "nope",
        "Serial number not found in your equipment list. Please try again or reply MENU.\n\nEnter the serial",
    );
}

fn nobody_answers(talk: &mut Talk) {
    let paths: [&[&str]; 8] =
        [&[], &["1"], &["1", "1"], &["1", "1", "6"], &["2"], &["2", "1"], &["3"], &["4"]];
    for path in paths {
        talk.program("Troubleshoot_Equipment", json!({}));
        talk.says(MENU);
        for answer in path {
            talk.asks(answer, &[""]);
        }
        talk.silence();
        talk.says_with(&["We have not heard from you for a while"]);
        talk.is_over();
    }
}

fn a_customer_without_equipment_finds_people(talk: &mut Talk) {
    let mut none = profile();
    none["equipment"] = json!([]);
    talk.profile = Answers::Fresh(none);
    let said = "We have no equipment on file for you yet.\n\nReply with a number:\n1. Call Shop\n2. Text Shop\n3. Main Menu";
    for flow in ["Troubleshoot_Equipment", "Schedule_Service", "Order_Parts"] {
        let begin = |talk: &mut Talk| {
            talk.program(flow, json!({}));
            if flow == "Troubleshoot_Equipment" {
                talk.says(MENU);
                talk.customer("1");
            }
            talk.says(said);
        };
        for (answer, reply) in [
            ("1", "You can call"),
            ("2", "You are now texting"),
            ("3", "Hansen"),
            ("Thanks!", "You are welcome!"),
        ] {
            begin(talk);
            talk.asks(answer, &[reply]);
        }
        begin(talk);
        talk.tires_of("4", "Sorry, that is not one of the choices.");
        begin(talk);
        talk.silence();
        talk.says_with(&["Thank you for texting Hansen Outdoor Power. Reply MENU"]);
        talk.is_over();
    }
}

fn wrong_answers_are_forgotten_on_the_next_page(talk: &mut Talk) {
    talk.profile = Answers::Fresh(fleet(11));
    start(talk, "1");
    talk.says_with(&["Your Equipment"]);
    for _ in 0..3 {
        talk.asks("99", &["Sorry"]);
    }
    talk.asks("11", &["Your Equipment - Reply with a number:\n1. Exmark M11"]);
    talk.tires_of("99", "Sorry");
}
