//! Service_Status and Parts_Order_Status.

use std::time::Duration;

use serde_json::json;

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::{many_transactions, transactions};

const CLOSING: &str = "\n\nReply with a number:\n1. Call Shop\n2. Text Shop\n3. Main Menu";

const SERVICE: &str = "Equipment in Service - Reply with a number:\n\
    1. Honda HRX217 - in progress - #S-8 - Est: Dec 01\n2. Toro 450 - in service - #S-7\n3. Main Menu";

const PARTS: &str = "Your Parts Orders - Reply with a number:\n\
    1. #P-5 - shipped - Blade (+1 more)\n2. #P-6 - pending - Chain\n3. Main Menu";

conversations![
    service_orders_that_are_open_are_listed,
    service_orders_of_the_context_only,
    nothing_in_service,
    parts_orders_are_listed,
    no_parts_orders,
    emoji_appear_when_the_owner_wants_them,
    long_lists_go_on_page_by_page,
    old_lists_say_so,
    courtesy_menus_lead_on,
    wrong_answers_and_silence,
];

fn service_orders_that_are_open_are_listed(talk: &mut Talk) {
    talk.choose("3");
    talk.says(SERVICE);
    talk.customer("1");
    talk.says(&format!(
        "Service Order #S-8\nHonda HRX217 - SN: MZCG-1234567\n\nStatus: in progress\n\
         Estimated Completion: December 01, 2026\n\nView Invoice: https://i.example/1\n\
         Pay Now: https://p.example/1{CLOSING}"
    ));
    assert!(talk.waiting().starts_with("closing"));
    talk.asks("3", &["Hansen"]);
    talk.customer("3");
    talk.says(SERVICE);
    talk.customer("2");
    talk.says(&format!("Service Order #S-7\nToro 450 - SN: 0042\n\nStatus: in service{CLOSING}"));
}

fn service_orders_of_the_context_only(talk: &mut Talk) {
    talk.program("Service_Status", json!({"EquipmentId": "EQ124"}));
    talk.says("Equipment in Service - Reply with a number:\n1. Toro 450 - in service - #S-7\n2. Main Menu");
    talk.asks("2", &["1. Troubleshoot Equipment"]);
}

fn nothing_in_service(talk: &mut Talk) {
    talk.transactions = Answers::Fresh(json!({}));
    talk.choose("3");
    talk.says("You have no equipment currently in service.\n\n1. Schedule Service\n2. Main Menu");
    talk.asks("1", &["Your Equipment - Reply with a number:"]);
    assert_eq!(talk.flow(), "Schedule_Service");
    talk.program("Service_Status", json!({}));
    talk.says_with(&["no equipment currently in service"]);
    talk.asks("2", &["1. Troubleshoot Equipment"]);
    // The equipment of the context goes along.
    talk.transactions = Answers::Fresh(transactions());
    talk.program("Service_Status", json!({"EquipmentId": "EQ125", "EquipmentName": "Stihl MS 271"}));
    talk.says_with(&["no equipment currently in service"]);
    talk.asks("1", &["Stihl MS 271 - Schedule Service\n\nPlease describe"]);
}

fn parts_orders_are_listed(talk: &mut Talk) {
    talk.choose("5");
    talk.says(PARTS);
    talk.customer("1");
    talk.says(&format!(
        "Parts Order #P-5\n\nEquipment: Honda HRX217\nStatus: shipped\nTracking: 1Z999\n\n\
         Items:\n- Blade (Qty: 2) - $21.50\n- Air Filter (Qty: 1) - $12.95\n\n\
         Est. Delivery: November 25, 2026\n\nView Invoice: https://i.example/1\nPay Now: https://p.example/1{CLOSING}"
    ));
    talk.asks("3", &["Hansen"]);
    talk.customer("5");
    talk.says(PARTS);
    talk.customer("2");
    talk.says(&format!(
        "Parts Order #P-6\n\nEquipment: Stihl MS 271\nStatus: pending\n\nItems:\n- Chain (Qty: 1){CLOSING}"
    ));
    talk.asks("main menu", &["Hansen"]);
    talk.customer("5");
    talk.says(PARTS);
    talk.asks("3", &["1. Troubleshoot Equipment"]);
}

fn no_parts_orders(talk: &mut Talk) {
    talk.transactions = Answers::Fresh(json!({"parts_orders": []}));
    talk.choose("5");
    talk.says("You have no parts orders.\n\n1. Order Parts\n2. Main Menu");
    talk.asks("1", &["Your Equipment - Reply with a number:"]);
    assert_eq!(talk.flow(), "Order_Parts");
    talk.program("Parts_Order_Status", json!({"EquipmentId": "EQ123"}));
    talk.says_with(&["You have no parts orders."]);
    talk.asks("1", &["Top 10 Common Parts for Honda HRX217"]);
    talk.program("Parts_Order_Status", json!({}));
    talk.says_with(&["You have no parts orders."]);
    talk.asks("2", &["1. Troubleshoot Equipment"]);
}

fn emoji_appear_when_the_owner_wants_them(talk: &mut Talk) {
    talk.emoji();
    talk.choose("3");
    talk.says(SERVICE);
    talk.asks("1", &["\n\n📄 View Invoice: https://i.example/1\n💳 Pay Now: https://p.example/1\n\n"]);
    talk.asks("3", &["Hansen"]);
    talk.customer("5");
    talk.says(PARTS);
    talk.asks("1", &["\n\n🚚 Est. Delivery: November 25, 2026\n\n📄 View Invoice: ", "\n💳 Pay Now: "]);
}

fn long_lists_go_on_page_by_page(talk: &mut Talk) {
    talk.transactions = Answers::Fresh(many_transactions(21));
    for flow in ["Service_Status", "Parts_Order_Status"] {
        let first = if flow == "Service_Status" { "Honda HRX217 - in progress - #S-" } else { "#P-" };
        talk.program(flow, json!({}));
        talk.says_with(&[&format!("\n10. {first}10"), "\n11. Show More Orders\n12. Main Menu"]);
        talk.asks("12", &["1. Troubleshoot Equipment"]);
        talk.program(flow, json!({}));
        talk.says_with(&["11. Show More Orders"]);
        talk.asks("11", &[&format!("\n1. {first}11"), "\n11. Show More Orders\n12. Main Menu"]);
        talk.asks("11", &[&format!("\n1. {first}21"), "\n2. Main Menu"]);
        talk.asks("11", &["Sorry", "2. Main Menu"]);
        talk.asks("1", &["Order #", "21\n"]);
    }
}

fn old_lists_say_so(talk: &mut Talk) {
    talk.transactions = Answers::Stale(transactions(), Duration::from_secs(3600));
    talk.choose("3");
    talk.says(&format!("{SERVICE}\n\nOur office system is offline; this was true 1 hour ago."));
    talk.asks("3", &["Hansen"]);
    talk.customer("5");
    talk.says(&format!("{PARTS}\n\nOur office system is offline; this was true 1 hour ago."));
    talk.transactions = Answers::Stale(json!({}), Duration::from_secs(30));
    talk.asks("3", &["Hansen"]);
    talk.asks("3", &[
        "in service.\n\nOur office system is offline; this was true less than a minute ago.\n\n1. Schedule Service",
    ]);
}

fn courtesy_menus_lead_on(talk: &mut Talk) {
    for flow in ["Service_Status", "Parts_Order_Status"] {
        for (answer, said) in [
            ("1", "You can call Hansen Outdoor Power"),
            ("2", "You are now texting with the staff"),
            ("3", "1. Troubleshoot Equipment"),
            ("thx", "You are welcome!"),
        ] {
            talk.program(flow, json!({}));
            talk.says_with(&["Reply with a number"]);
            talk.asks("1", &["Order #"]);
            talk.asks(answer, &[said]);
        }
    }
    assert_eq!(
        talk.handed,
        [
            "Asked for a person about a service order. Order #S-8, Honda HRX217.",
            "Asked for a person about a parts order. Order #P-5."
        ]
    );
}

fn wrong_answers_and_silence(talk: &mut Talk) {
    for flow in ["Service_Status", "Parts_Order_Status"] {
        for (path, wrong) in [(&[][..], "7"), (&["1"][..], "7")] {
            for silent in [true, false] {
                talk.program(flow, json!({}));
                talk.says_with(&["Reply with a number"]);
                for answer in path {
                    talk.asks(answer, &["Order #"]);
                }
                if silent {
                    talk.silence();
                    talk.says_with(&[if path.is_empty() {
                        "We have not heard"
                    } else {
                        "Thank you for texting"
                    }]);
                    talk.is_over();
                } else {
                    talk.tires_of(wrong, "Sorry, that is not one of the choices.");
                }
            }
        }
        talk.transactions = Answers::Fresh(json!({}));
        for silent in [true, false] {
            talk.program(flow, json!({}));
            talk.says_with(&["You have no "]);
            if silent {
                talk.silence();
                talk.says_with(&["We have not heard"]);
                talk.is_over();
            } else {
                talk.tires_of("3", "Sorry, that is not one of the choices.");
            }
        }
        talk.transactions = Answers::Fresh(transactions());
    }
}
