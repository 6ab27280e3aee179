//! View_Pay_Invoice.

use std::time::Duration;

use serde_json::json;

use super::conversations;
use super::driver::{Answers, Talk};
use super::fixture::{many_transactions, transactions};

const TYPES: &str = "View or Pay Invoice - Reply with a number:\n1. Unit Sale Invoice\n2. Service Invoice\n\
    3. Parts Invoice\n4. Call Shop\n5. Text Shop\n6. Main Menu";

const SERVICE: &str = "Service Invoices - Reply with a number:\n1. #I-1 - unpaid - $1234.50 - Oct 02\n\
    2. #I-2 - Paid - $19.90 - Sep 01\n3. Main Menu";

const CLOSING: &str = "\n\nReply with a number:\n1. Call Shop\n2. Text Shop\n3. Main Menu";

conversations![
    an_invoice_is_shown_with_its_payment_link,
    a_paid_invoice_is_not_paid_again,
    a_credit_keeps_its_sign,
    no_invoices_of_a_type_offer_the_others,
    shop_and_menu_are_choices,
    many_invoices_go_on_page_by_page,
    old_invoices_say_so,
    emoji_appear_when_the_owner_wants_them,
    courtesy_menu_leads_on,
    wrong_answers_and_silence,
];

fn start(talk: &mut Talk, answer: &str) {
    talk.program("View_Pay_Invoice", json!({}));
    talk.says(TYPES);
    talk.customer(answer);
}

fn an_invoice_is_shown_with_its_payment_link(talk: &mut Talk) {
    talk.choose("6");
    talk.says(TYPES);
    talk.customer("2");
    talk.says(SERVICE);
    talk.customer("1");
    talk.says(&format!(
        "Invoice #I-1\nOrder #S-1\n\nHonda HRX217 - Tune-up\n\nAmount: $1234.50\nStatus: unpaid\n\
         Due Date: December 02, 2026\n\nView Invoice: https://i.example/1\nPay Now: https://p.example/1{CLOSING}"
    ));
}

fn a_paid_invoice_is_not_paid_again(talk: &mut Talk) {
    start(talk, "Service Invoice");
    talk.says(SERVICE);
    talk.customer("2");
    talk.says(&format!(
        "Invoice #I-2\n\nBlade sharpening\n\nAmount: $19.90\nStatus: Paid\n\nView Invoice: https://i.example/2{CLOSING}"
    ));
}

fn a_credit_keeps_its_sign(talk: &mut Talk) {
    start(talk, "1");
    talk.says("Unit Sale Invoices - Reply with a number:\n1. #I-3 - credit - -$5.25\n2. Main Menu");
    talk.customer("1");
    talk.says(&format!("Invoice #I-3\n\nRefund\n\nAmount: -$5.25\nStatus: credit{CLOSING}"));
}

fn no_invoices_of_a_type_offer_the_others(talk: &mut Talk) {
    start(talk, "3");
    talk.says("You have no Parts invoices.\n\n1. View other invoice types\n2. Main Menu");
    talk.customer("1");
    talk.says(TYPES);
    talk.asks("7", &["Sorry", "View or Pay Invoice"]);
    talk.asks("3", &["no Parts invoices"]);
    talk.customer("1");
    talk.says(TYPES);
    talk.asks("3", &["no Parts invoices"]);
    talk.asks("2", &["1. Troubleshoot Equipment"]);
}

fn shop_and_menu_are_choices(talk: &mut Talk) {
    for (answer, said) in
        [("4", "You can call"), ("5", "You are now texting"), ("6", "1. Troubleshoot Equipment")]
    {
        start(talk, answer);
        talk.says_with(&[said]);
    }
    assert_eq!(talk.handed, ["Asked for a person about an invoice."]);
}

fn many_invoices_go_on_page_by_page(talk: &mut Talk) {
    talk.transactions = Answers::Fresh(many_transactions(20));
    start(talk, "3");
    talk.says_with(&[
        "1. #I-1 - unpaid - $1.00\n",
        "10. #I-10 - unpaid - $10.00\n11. Show More Invoices\n12. Main Menu",
    ]);
    talk.asks("11", &["number:\n1. #I-11", "10. #I-20 - unpaid - $20.00\n11. Main Menu"]);
    talk.asks("12", &["Sorry", "11. Main Menu"]);
    talk.asks("10", &["Invoice #I-20\n\nParts\n\nAmount: $20.00"]);
    start(talk, "3");
    talk.says_with(&["12. Main Menu"]);
    talk.asks("12", &["1. Troubleshoot Equipment"]);
}

fn old_invoices_say_so(talk: &mut Talk) {
    talk.transactions = Answers::Stale(transactions(), Duration::from_secs(600));
    start(talk, "2");
    talk.says(&format!("{SERVICE}\n\nOur office system is offline; this was true 10 minutes ago."));
}

fn emoji_appear_when_the_owner_wants_them(talk: &mut Talk) {
    talk.emoji();
    start(talk, "2");
    talk.says(SERVICE);
    talk.asks("1", &["\n\n📄 View Invoice: https://i.example/1\n💳 Pay Now: https://p.example/1\n\n"]);
}

fn courtesy_menu_leads_on(talk: &mut Talk) {
    for (answer, said) in [
        ("1", "You can call Hansen Outdoor Power"),
        ("2", "You are now texting with the staff"),
        ("3", "1. Troubleshoot Equipment"),
        ("Thanks", "You are welcome!"),
    ] {
        start(talk, "2");
        talk.says(SERVICE);
        talk.asks("1", &["Invoice #I-1"]);
        assert!(talk.waiting().starts_with("closing"));
        talk.asks(answer, &[said]);
    }
    assert_eq!(talk.handed, ["Asked for a person about an invoice. Invoice #I-1."]);
}

fn wrong_answers_and_silence(talk: &mut Talk) {
    for (path, wrong, goodbye) in [
        (&[][..], "7", "We have not heard"),
        (&["2"], "4", "We have not heard"),
        (&["2", "1"], "4", "Thank you for texting"),
        (&["3"], "3", "We have not heard"),
    ] {
        for silent in [true, false] {
            talk.program("View_Pay_Invoice", json!({}));
            talk.says(TYPES);
            for answer in path {
                talk.asks(answer, &[""]);
            }
            if silent {
                talk.silence();
                talk.says_with(&[goodbye]);
                talk.is_over();
            } else {
                talk.tires_of(wrong, "Sorry, that is not one of the choices.");
            }
        }
    }
}
