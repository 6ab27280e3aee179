//! Main menu, what works everywhere, unknown customers, the shop's people, refusals.

use std::time::Duration;

use serde_json::json;

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::profile;

const MAIN: &str = "Hansen Outdoor Power\n\nReply with a number:\n1. Troubleshoot Equipment\n2. Schedule Service\n\
    3. Service Status\n4. Order Parts\n5. Parts Order Status\n6. View or Pay Invoice\n7. Text or Call Shop";

conversations![
    first_text_shows_the_main_menu,
    menu_words_start_their_flows,
    wrong_answers_to_the_main_menu_end_with_the_number,
    silence_ends_with_one_polite_text,
    menu_works_everywhere,
    text_shop_hands_the_conversation_to_people,
    call_shop_gives_the_number,
    a_shop_without_a_number_gives_none,
    shop_menu_leads_back,
    shop_menu_is_tired_of_wrong_answers,
    unknown_customer_leaves_a_message,
    unknown_customer_is_silent,
    customer_that_became_unknown_is_told_by_every_flow,
    main_menu_is_shown_while_the_dealer_is_down,
    every_flow_tells_the_truth_without_the_dealer,
    office_down_is_asked_again,
    refused_service_order_offers_people,
    refused_parts_order_offers_people,
    refusal_is_asked_again,
    refusal_is_met_with_silence,
    a_flow_that_is_not_published_is_no_dead_end,
];

fn first_text_shows_the_main_menu(talk: &mut Talk) {
    talk.customer("Hello?");
    talk.says(MAIN);
    assert_eq!(talk.flow(), "Main_Menu");
}

fn menu_words_start_their_flows(talk: &mut Talk) {
    for (word, flow) in [
        ("1", "Troubleshoot_Equipment"),
        (" 2. ", "Schedule_Service"),
        ("service status", "Service_Status"),
        ("#4", "Order_Parts"),
        ("five", "Parts_Order_Status"),
        ("Invoice", "View_Pay_Invoice"),
    ] {
        talk.customer("menu");
        talk.says(MAIN);
        talk.asks(word, &["Reply with a number:"]);
        assert_eq!(talk.flow(), flow, "{word}");
    }
}

fn wrong_answers_to_the_main_menu_end_with_the_number(talk: &mut Talk) {
    talk.customer("Hi");
    talk.says(MAIN);
    talk.customer("eight");
    talk.says(&format!("Sorry, that is not one of the choices.\n\n{MAIN}"));
    talk.asks("8", &["Sorry", "7. Text or Call Shop"]);
    talk.asks("what?", &["Sorry", "7. Text or Call Shop"]);
    talk.asks("0", &["Sorry, we did not get an answer", "(206) 555-0100, or reply MENU to start again."]);
    talk.is_over();
}

fn silence_ends_with_one_polite_text(talk: &mut Talk) {
    talk.customer("Hi");
    talk.says(MAIN);
    talk.silence();
    talk.says(
        "We have not heard from you for a while, so we will stop here. Reply MENU any time to start again, \
         or call us at (206) 555-0100.",
    );
    talk.is_over();
    talk.customer("Sorry, I was mowing");
    talk.says(MAIN);
}

fn menu_works_everywhere(talk: &mut Talk) {
    talk.choose("2");
    talk.says_with(&["Your Equipment"]);
    talk.asks("1", &["Please describe the problem"]);
    talk.customer("MENU");
    talk.says(MAIN);
    assert_eq!(talk.flow(), "Main_Menu");
}

fn text_shop_hands_the_conversation_to_people(talk: &mut Talk) {
    talk.choose("7");
    talk.says("Text or Call Shop - Reply with a number:\n1. Text Shop\n2. Call Shop\n3. Main Menu");
    talk.customer("1");
    talk.says(
        "You are now texting with the staff of Hansen Outdoor Power. Write your message here and a person will \
         answer.\n\nReply MENU for main menu",
    );
    talk.is_over();
    assert_eq!(talk.handed, ["Asked for a person from the main menu."]);
}

fn call_shop_gives_the_number(talk: &mut Talk) {
    talk.choose("7");
    talk.says_with(&["Text or Call Shop"]);
    talk.customer("2");
    talk.says("You can call Hansen Outdoor Power at (206) 555-0100.\n\nReply MENU for main menu");
    talk.is_over();
}

fn a_shop_without_a_number_gives_none(talk: &mut Talk) {
    talk.shop_has_no_number();
    talk.choose("7");
    talk.says_with(&["Text or Call Shop"]);
    talk.customer("2");
    talk.says("You can call Hansen Outdoor Power.\n\nReply MENU for main menu");
    talk.asks("Hi", &["Hansen"]);
    talk.silence();
    talk.says(
        "We have not heard from you for a while, so we will stop here. Reply MENU any time to start again, \
         or call us.",
    );
}

fn shop_menu_leads_back(talk: &mut Talk) {
    talk.choose("9");
    talk.says_with(&["Sorry", "Reply with a number:"]);
    talk.asks("7", &["Text or Call Shop"]);
    talk.customer("3");
    talk.says(MAIN);
}

fn shop_menu_is_tired_of_wrong_answers(talk: &mut Talk) {
    talk.choose("7");
    talk.says_with(&["Text or Call Shop"]);
    talk.tires_of("4", "Sorry, that is not one of the choices.");
    talk.choose("7");
    talk.says_with(&["Text or Call Shop"]);
    talk.silence();
    talk.says_with(&["We have not heard from you"]);
}

fn unknown_customer_leaves_a_message(talk: &mut Talk) {
    talk.profile = Answers::Status(404);
    talk.customer("Hi, do you fix chainsaws?");
    talk.says(
        "Welcome to Hansen Outdoor Power! We could not find your phone number in our customer list.\n\nPlease call \
         us at (206) 555-0100, or reply with your name and how we can help, and a person will text you back.",
    );
    assert_eq!(talk.flow(), "Unknown_Customer");
    talk.customer("Bo Lund, my saw is dull");
    talk.says("Thank you! The staff of Hansen Outdoor Power have your message and will answer here.");
    talk.is_over();
    assert_eq!(talk.handed, ["A phone number that the dealer does not know wrote: Bo Lund, my saw is dull"]);
}

fn unknown_customer_is_silent(talk: &mut Talk) {
    talk.profile = Answers::Status(404);
    talk.asks("Hi", &["We could not find your phone number"]);
    talk.silence();
    talk.says_with(&["We have not heard from you", "(206) 555-0100"]);
    talk.is_over();
}

const FLOWS: [&str; 6] = [
    "Troubleshoot_Equipment",
    "Schedule_Service",
    "Service_Status",
    "Order_Parts",
    "Parts_Order_Status",
    "View_Pay_Invoice",
];

fn customer_that_became_unknown_is_told_by_every_flow(talk: &mut Talk) {
    talk.profile = Answers::Status(404);
    for flow in FLOWS {
        talk.program(flow, json!({}));
        if flow == "View_Pay_Invoice" {
            talk.says_with(&["View or Pay Invoice"]);
            talk.customer("1");
        }
        talk.says_with(&["We could not find your phone number"]);
        assert_eq!(talk.flow(), "Unknown_Customer");
    }
}

fn main_menu_is_shown_while_the_dealer_is_down(talk: &mut Talk) {
    talk.profile = Answers::Nothing;
    talk.customer("Hi");
    talk.says(MAIN);
    talk.profile = Answers::Stale(profile(), Duration::from_secs(3 * 3600));
    talk.customer("menu");
    talk.says(MAIN);
}

fn every_flow_tells_the_truth_without_the_dealer(talk: &mut Talk) {
    talk.profile = Answers::Nothing;
    for (flow, answer, reply) in [
        ("Troubleshoot_Equipment", "1", "You can call Hansen Outdoor Power at (206) 555-0100."),
        ("Schedule_Service", "2", "You are now texting with the staff"),
        ("Service_Status", "3", "1. Troubleshoot Equipment"),
        ("Order_Parts", "Main Menu", "1. Troubleshoot Equipment"),
        ("Parts_Order_Status", "call", "You can call"),
        ("View_Pay_Invoice", "text", "You are now texting"),
    ] {
        talk.program(flow, json!({}));
        if flow == "View_Pay_Invoice" {
            talk.says_with(&["View or Pay Invoice"]);
            talk.customer("2");
        }
        talk.says_with(&[
            "We cannot reach our office system right now, so we cannot ",
            ". You can call us at (206) 555-0100, or we answer you by text.\n\nReply with a number:\n1. Call Shop\n\
             2. Text Shop\n3. Main Menu",
        ]);
        talk.asks(answer, &[reply]);
    }
    talk.profile = Answers::Fresh(profile());
    talk.transactions = Answers::Status(500);
    for flow in ["Service_Status", "Parts_Order_Status", "View_Pay_Invoice"] {
        talk.program(flow, json!({}));
        if flow == "View_Pay_Invoice" {
            talk.says_with(&["View or Pay Invoice"]);
            talk.customer("3");
        }
        talk.says_with(&["We cannot reach our office system right now"]);
    }
}

fn office_down_is_asked_again(talk: &mut Talk) {
    talk.profile = Answers::Nothing;
    for flow in FLOWS {
        for silent in [false, true] {
            talk.program(flow, json!({}));
            if flow == "View_Pay_Invoice" {
                talk.says_with(&["View or Pay Invoice"]);
                talk.customer("2");
            }
            talk.says_with(&["We cannot reach our office system"]);
            if silent {
                talk.silence();
                talk.says_with(&["We have not heard from you"]);
                talk.is_over();
            } else {
                talk.tires_of("4", "Sorry, that is not one of the choices.");
            }
        }
        for answer in ["1", "2", "3"] {
            talk.program(flow, json!({}));
            if flow == "View_Pay_Invoice" {
                talk.says_with(&["View or Pay Invoice"]);
                talk.customer("2");
            }
            talk.says_with(&["We cannot reach our office system"]);
            talk.asks(answer, &["Hansen Outdoor Power"]);
        }
    }
}

fn refused_service_order_offers_people(talk: &mut Talk) {
    let about =
        json!({"OrderKind": "service", "EquipmentName": "Honda HRX217", "ProblemDescription": "No spark"});
    talk.program("Order_Failed", about.clone());
    talk.says(
        "Your service could not be scheduled automatically. Please contact Hansen Outdoor Power to have your service \
         scheduled.\n\nReply with:\n1. Text Shop\n2. Call Shop\n3. Main Menu",
    );
    talk.asks("1", &["You are now texting with the staff"]);
    talk.is_over();
    assert_eq!(
        talk.handed,
        ["The dealer refused the service order. Equipment: Honda HRX217. Problem: No spark"]
    );
    talk.program("Order_Failed", about.clone());
    talk.says_with(&["Your service could not be scheduled automatically"]);
    talk.asks("2", &["You can call"]);
    talk.program("Order_Failed", about);
    talk.says_with(&["Your service could not be scheduled automatically"]);
    talk.customer("3");
    talk.says(MAIN);
}

fn refused_parts_order_offers_people(talk: &mut Talk) {
    talk.program("Order_Failed", json!({"OrderKind": "parts", "PartName": "Blade"}));
    talk.says(
        "Parts order could not be created. Please contact Hansen Outdoor Power.\n\nReply with:\n1. Text Shop\n\
         2. Call Shop\n3. Main Menu",
    );
    talk.asks("text shop", &["You are now texting with the staff"]);
    assert_eq!(talk.handed, ["The dealer refused the parts order. Part: Blade."]);
}

fn refusal_is_asked_again(talk: &mut Talk) {
    talk.program("Order_Failed", json!({}));
    talk.says_with(&["could not be scheduled automatically"]);
    talk.tires_of("why?", "Sorry, that is not one of the choices.");
}

fn refusal_is_met_with_silence(talk: &mut Talk) {
    talk.program("Order_Failed", json!({}));
    talk.says_with(&["could not be scheduled automatically"]);
    talk.silence();
    talk.says_with(&["We have not heard from you"]);
    talk.is_over();
}

fn a_flow_that_is_not_published_is_no_dead_end(talk: &mut Talk) {
    let said = "Could not switch workflows. Please try again or reply MENU.";
    talk.unpublish("Order_Parts");
    talk.choose("4");
    talk.says(said);
    talk.is_over();
    talk.unpublish("Main_Menu");
    talk.transactions = Answers::Fresh(json!({}));
    let paths: [(&str, &[&str]); 7] = [
        ("Troubleshoot_Equipment", &["1", "1", "7"]),
        ("Schedule_Service", &["1", "No spark", "3"]),
        ("Service_Status", &["2"]),
        ("Order_Parts", &["1", "12"]),
        ("Parts_Order_Status", &["2"]),
        ("View_Pay_Invoice", &["6"]),
        ("Order_Failed", &["3"]),
    ];
    for (flow, answers) in paths {
        talk.program(flow, json!({}));
        for answer in answers {
            talk.says_with(&[""]);
            talk.customer(answer);
        }
        talk.says(said);
        talk.is_over();
    }
}
