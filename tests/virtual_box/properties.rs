//! What must hold whatever happens: a crash at any moment, any interleaving of a hundred customers.

use std::collections::BTreeMap;
use std::time::Duration;

use backroom::types::ShopId;
use proptest::prelude::*;

use super::conversations::{JANE, TO_DROP_OFF};
use super::harness::*;

/// The whole conversation, to the confirmed order.
fn script() -> Vec<&'static str> {
    TO_DROP_OFF.into_iter().chain(["1", "1"]).collect()
}

/// What one run came to.
struct Ran {
    texts: Vec<String>,
    /// Texts that are listed as in doubt.
    unknown: Vec<String>,
    orders: Vec<serde_json::Value>,
    effects: usize,
}

async fn run_with_power_cut_after(plan: ShopPlan, events: Option<usize>) -> Ran {
    let mut b = VirtualBox::new(vec![plan]).await;
    b.knows(JANE);
    // Time to look twice for a text whose answer was cut off, and to send it again.
    let pause = Duration::from_secs(if b.upstreams.is_empty() { 45 } else { 120 });
    let begun = b.taken;
    b.fuse = events.map(|e| begun + e);
    for text in script() {
        b.text(JANE, text).await;
        // After a cut the wait for late texts and the line's own pauses have their time.
        b.advance(pause).await;
    }
    b.advance(Duration::from_secs(120)).await;
    let orders = b.dealer.orders.iter().map(|(_, body)| serde_json::json!(body)).collect();
    let listed = b.store().read(|r| r.unknown_messages(&ShopId::from("main"))).await.unwrap();
    let unknown = listed.into_iter().map(|(row, _)| row.body).collect();
    Ran { texts: b.heard(JANE), unknown, orders, effects: b.taken - begun }
}

/// A power cut before *every* effect: the row says that the modem has the text, and it has not. The customer hears
/// the same texts, none twice; at most one is missing, and that one is listed as in doubt; the dealer has the same two
/// orders, each once.
#[tokio::test]
async fn a_power_cut_before_any_effect_loses_nothing_and_doubles_nothing() {
    let whole = run_with_power_cut_after(shop("main"), None).await;
    assert_eq!(whole.orders.len(), 2);
    assert!(whole.texts.last().unwrap().contains("Service Confirmed!"), "{:#?}", whole.texts);
    assert_eq!(whole.unknown, Vec::<String>::new());
    let mut in_doubt = 0;
    for at in 0..whole.effects {
        let cut = run_with_power_cut_after(shop("main"), Some(at)).await;
        assert_eq!(cut.orders, whole.orders, "cut before {at} of {} effects", whole.effects);
        assert!(cut.unknown.len() <= 1, "cut before {at}: {:#?}", cut.unknown);
        in_doubt += cut.unknown.len();
        // A parts order whose outcome the flow did not hear before the cut is confirmed by text instead; the wording
        // differs, the facts do not.
        let known: Vec<String> = cut.texts.iter().chain(&cut.unknown).cloned().collect();
        assert_eq!(facts(&known), facts(&whole.texts), "cut before {at}: {:#?}", cut.texts);
        let mut once = cut.texts.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), cut.texts.len(), "cut before {at}: {:#?}", cut.texts);
    }
    assert!(in_doubt > 5, "the cuts did not reach the moments that matter: {in_doubt}");
}

/// The same with a number at an upstream as the only line: there, what was cut off can be looked for, and no text is left
/// in doubt, missing or doubled.
#[tokio::test]
async fn a_power_cut_before_any_effect_leaves_no_doubt_where_the_upstream_can_be_asked() {
    let whole = run_with_power_cut_after(shop_upstream("main"), None).await;
    assert_eq!(whole.orders.len(), 2);
    for at in 0..whole.effects {
        let cut = run_with_power_cut_after(shop_upstream("main"), Some(at)).await;
        assert_eq!(cut.orders, whole.orders, "cut before {at} of {} effects", whole.effects);
        assert_eq!(cut.unknown, Vec::<String>::new(), "cut before {at}");
        assert_eq!(facts(&cut.texts), facts(&whole.texts), "cut before {at}: {:#?}", cut.texts);
        let mut once = cut.texts.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), cut.texts.len(), "cut before {at}: {:#?}", cut.texts);
    }
}

/// What matters of each text, as a set.
fn facts(texts: &[String]) -> Vec<String> {
    let mut facts: Vec<String> = texts
        .iter()
        .flat_map(|t| {
            let marks = [
                "1. Troubleshoot Equipment",
                "Your Equipment",
                "Please describe the problem",
                "Would you like to order parts",
                "Top 10 Common Parts",
                "Enter quantity",
                "Ship To:",
                "Order #SO-1001",
                "How would you like to drop off",
                "Your service order has been",
                "Order #SO-1002",
            ];
            marks.into_iter().filter(|m| t.contains(m)).map(str::to_owned).collect::<Vec<_>>()
        })
        .collect();
    facts.sort();
    facts.dedup();
    facts
}

fn customer(number: usize) -> String {
    format!("+1206555{number:04}")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2, ..ProptestConfig::default() })]

    /// A hundred customers at once, in any order: each hears of his own equipment only, each order is his own.
    #[test]
    fn a_hundred_customers_at_once_are_never_mixed_up(order in interleaving(100)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut b = VirtualBox::one_shop().await;
            for number in 0..100 {
                b.knows(&customer(number));
            }
            let script: Vec<&str> = TO_DROP_OFF.into_iter().chain(["1", "1"]).collect();
            let mut at = BTreeMap::new();
            let line = backroom::types::LineId::from("main-sim");
            for number in order {
                let step: &mut usize = at.entry(number).or_default();
                let text = match script[*step] {
                    "Pull cord is stuck" => format!("Pull cord is stuck {number:04}"),
                    text => text.to_owned(),
                };
                *step += 1;
                b.drop_in(&line, &customer(number), &text);
                b.pump().await;
            }
            b.advance(Duration::from_secs(60)).await;
            for number in 0..100 {
                let own = format!("{number:04}");
                let heard = b.heard(&customer(number));
                prop_assert!(heard.last().unwrap().contains("Service Confirmed!"), "{}: {:#?}", own, heard);
                for text in &heard {
                    for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '-') {
                        for mark in ["HRX", "MZCG-", "P-"] {
                            if let Some(rest) = word.strip_prefix(mark) {
                                prop_assert_eq!(rest, &own, "{}", text);
                            }
                        }
                    }
                }
            }
            prop_assert_eq!(b.dealer.orders.len(), 200);
            for (_, body) in &b.dealer.orders {
                let own = body["customer_id"].as_str().unwrap().trim_start_matches('C').to_owned();
                prop_assert_eq!(body["equipment_id"].as_str().unwrap(), format!("EQ{own}"));
                if let Some(description) = body.get("description") {
                    prop_assert_eq!(description.as_str().unwrap(), format!("Pull cord is stuck {own}"));
                }
            }
            Ok(())
        })?;
    }
}

/// Every customer nine times, shuffled.
fn interleaving(customers: usize) -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..customers).flat_map(|c| std::iter::repeat_n(c, 9)).collect();
    Just(all).prop_shuffle()
}
