//! Customers who answer anything, at random.

use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::driver::{Answers, Talk};
use super::fixture::{fleet, many_transactions, profile, transactions};
use crate::flow::{Ended, OrderAnswer};

fn answer() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (1_u32..4).prop_map(|number| number.to_string()),
        4 => (0_u32..14).prop_map(|number| number.to_string()),
        4 => Just("Won't start".to_owned()),
        1 => prop::sample::select(vec![
            "", "menu", "more", "thanks", "yes", "no", "today", "call", "text", "1.", "one", "-1", "1,5", "99999999999",
            "12 Oak St, Seattle, WA 98101", "12/25/2026", "HRX217VKA", "MZCG-1234567", "next friday",
        ])
        .prop_map(str::to_owned),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Dealer {
    Small,
    Large,
    Offline,
    Gone,
    Stranger,
}

fn set(talk: &mut Talk, dealer: Dealer) {
    let hour = Duration::from_secs(3600);
    let (profile, transactions) = match dealer {
        Dealer::Small => (Answers::Fresh(profile()), Answers::Fresh(transactions())),
        Dealer::Large => (Answers::Fresh(fleet(12)), Answers::Fresh(many_transactions(12))),
        Dealer::Offline => (Answers::Stale(profile(), hour), Answers::Stale(json!({}), hour)),
        Dealer::Gone => (Answers::Nothing, Answers::Nothing),
        Dealer::Stranger => (Answers::Status(404), Answers::Status(404)),
    };
    talk.profile = profile;
    talk.transactions = transactions;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    /// Whatever is answered, the shop answers, no execution fails, and no order goes to another customer.
    #[test]
    fn every_text_is_answered(
        dealers in prop::collection::vec(
            prop::sample::select(vec![
                Dealer::Small, Dealer::Small, Dealer::Large, Dealer::Offline, Dealer::Gone, Dealer::Stranger,
            ]),
            4,
        ),
        outcome in 0..3,
        answers in prop::collection::vec(answer(), 1..80),
    ) {
        let mut talk = Talk::new();
        talk.order_outcome = match outcome {
            0 => talk.order_outcome.clone(),
            1 => OrderAnswer::Pending,
            _ => OrderAnswer::Refused("no".into()),
        };
        for (nth, text) in answers.iter().enumerate() {
            set(&mut talk, dealers[nth / 20]);
            talk.customer(text);
            prop_assert!(!talk.read().is_empty(), "{text:?} was not answered");
            prop_assert!(!matches!(talk.ended, Some(Ended::Failed(_))), "{:?}", talk.ended);
        }
        for order in &talk.placed {
            prop_assert_eq!(&order.body["customer_id"], "C100");
            prop_assert_ne!(&order.body["equipment_id"], "");
        }
    }
}
