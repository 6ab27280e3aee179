//! The consent ledger: what no order of statements and no damage may do.

use proptest::prelude::*;

use super::*;

const YEAR: i64 = 31_557_600_000;

fn phone(text: &str) -> PhoneNumber {
    PhoneNumber::parse(text, None).unwrap()
}

fn said(scope: Scope, act: Act) -> Statement {
    Statement {
        subject: phone("+12065550101"),
        scope,
        act,
        words: "STOP".into(),
        origin: Origin::Text,
        proof: "SM1".into(),
        at: Wall(YEAR),
        sure: true,
    }
}

fn chain(statements: Vec<Statement>) -> Vec<Entry> {
    let mut head = Head::beginning(&ShopId::from("main"));
    let mut entries = Vec::new();
    for statement in statements {
        let entry = head.append(statement);
        head = entry.head();
        entries.push(entry);
    }
    entries
}

fn standing(acts: &[(Scope, Act)]) -> Standing {
    let entries = chain(acts.iter().map(|(scope, act)| said(scope.clone(), *act)).collect());
    Standing::of(&phone("+12065550101"), &entries)
}

fn sim1() -> LineId {
    LineId::from("sim1")
}

#[test]
fn stop_at_the_shop_blocks_every_line_and_a_line_blocks_itself() {
    let shop = standing(&[(Scope::Shop, Act::Block)]);
    assert_eq!(shop.may_send(Purpose::Reply, &sim1(), None), Err(Refusal::Blocked(1)));
    assert!(shop.is_blocked_everywhere());
    let line = standing(&[(Scope::Line(sim1()), Act::Block)]);
    assert_eq!(line.may_send(Purpose::Reply, &sim1(), None), Err(Refusal::Blocked(1)));
    assert_eq!(line.may_send(Purpose::Reply, &LineId::from("twilio"), None), Ok(()));
    let number = standing(&[(Scope::Number(phone("+12065550199")), Act::Block)]);
    let other = phone("+12065550198");
    assert_eq!(number.may_send(Purpose::Reply, &sim1(), Some(&other)), Ok(()));
    assert_eq!(number.may_send(Purpose::Reply, &sim1(), None), Err(Refusal::Blocked(1)));
}

#[test]
fn a_narrow_release_never_lifts_a_wide_block() {
    let acts = [(Scope::Shop, Act::Block), (Scope::Line(sim1()), Act::Unblock)];
    assert_eq!(standing(&acts).may_send(Purpose::Informational, &sim1(), None), Err(Refusal::Blocked(1)));
    let acts = [(Scope::Line(sim1()), Act::Block), (Scope::Shop, Act::Unblock)];
    assert_eq!(standing(&acts).may_send(Purpose::Informational, &sim1(), None), Ok(()));
}

#[test]
fn start_brings_no_marketing_back() {
    let acts = [
        (Scope::Shop, Act::Consent(Topic::Marketing)),
        (Scope::Shop, Act::Block),
        (Scope::Shop, Act::Unblock),
    ];
    assert_eq!(standing(&acts[..1]).may_send(Purpose::Marketing, &sim1(), None), Ok(()));
    assert_eq!(standing(&acts).may_send(Purpose::Marketing, &sim1(), None), Err(Refusal::NoConsent));
    assert_eq!(standing(&acts).may_send(Purpose::Informational, &sim1(), None), Ok(()));
}

#[test]
fn marketing_needs_consent_and_a_withdrawal_names_its_entry() {
    assert_eq!(standing(&[]).may_send(Purpose::Marketing, &sim1(), None), Err(Refusal::NoConsent));
    let acts = [
        (Scope::Shop, Act::Consent(Topic::Marketing)),
        (Scope::Line(sim1()), Act::Withdrawal(Topic::Marketing)),
    ];
    assert_eq!(standing(&acts).may_send(Purpose::Marketing, &sim1(), None), Err(Refusal::Withdrawn(2)));
    assert_eq!(standing(&acts).may_send(Purpose::Marketing, &LineId::from("b"), None), Ok(()));
    assert_eq!(standing(&acts).may_send(Purpose::Informational, &sim1(), None), Ok(()));
}

#[test]
fn a_pause_ends_by_staff_alone() {
    let acts = [said(Scope::Shop, Act::Consent(Topic::Marketing)), said(Scope::Shop, Act::Pause)];
    let marketing = |more: Vec<Statement>| {
        let all = acts.iter().cloned().chain(more).collect();
        Standing::of(&phone("+12065550101"), &chain(all)).may_send(Purpose::Marketing, &sim1(), None)
    };
    assert_eq!(marketing(vec![]), Err(Refusal::Paused(2)));
    let resume = said(Scope::Shop, Act::Resume);
    assert_eq!(marketing(vec![resume.clone()]), Err(Refusal::Paused(2)));
    assert_eq!(marketing(vec![Statement { origin: Origin::Staff, ..resume }]), Ok(()));
}

#[test]
fn nothing_but_the_list_reaches_a_blocked_person() {
    let blocked = standing(&[(Scope::Shop, Act::Consent(Topic::Marketing)), (Scope::Shop, Act::Block)]);
    for purpose in [Purpose::Reply, Purpose::Informational, Purpose::Marketing] {
        assert_eq!(blocked.may_send(purpose, &sim1(), None), Err(Refusal::Blocked(2)));
    }
    for exempt in [Exempt::Emergency, Exempt::Law, Exempt::Confirmation] {
        assert_eq!(blocked.may_send(Purpose::Exempt(exempt), &sim1(), None), Ok(()));
    }
}

#[test]
fn a_cut_end_is_seen_by_the_head_that_is_held_elsewhere() {
    let start = Head::beginning(&ShopId::from("main"));
    let entries = chain(vec![said(Scope::Shop, Act::Block); 4]);
    let known = entries[3].head();
    assert_eq!(verify(start, &entries, Some(known)), Ok(known));
    assert_eq!(verify(start, &entries, Some(entries[1].head())), Ok(known), "the ledger may have grown");
    assert_eq!(verify(start, &entries[..2], Some(known)), Err(Broken::End { expected: 4, found: 2 }));
    assert_eq!(verify(start, &entries[..2], None), Ok(entries[1].head()), "a chain alone cannot tell");
    let other = Head::beginning(&ShopId::from("other"));
    assert_eq!(verify(other, &entries, None), Err(Broken::Before { seq: 1 }));
}

#[test]
fn entries_go_after_seven_years_when_nothing_rests_on_them() {
    let entries = chain(vec![said(Scope::Shop, Act::Block), said(Scope::Shop, Act::Unblock)]);
    let late = Now::at(0, YEAR + KEPT_MS);
    assert_eq!(expired(&entries, late), 2);
    assert_eq!(expired(&entries, Now::at(0, YEAR + KEPT_MS - 1)), 0);
    assert_eq!(expired(&entries, Now { wall_sure: false, ..late }), 0, "an unsure clock deletes nothing");
    let standing = chain(vec![said(Scope::Shop, Act::Block)]);
    assert_eq!(expired(&standing, late), 0, "a block that stands is kept for ever");
    let fresh = Statement { at: Wall(2 * YEAR), ..said(Scope::Shop, Act::Unblock) };
    let revoked = chain(vec![said(Scope::Shop, Act::Block), fresh]);
    assert_eq!(expired(&revoked, late), 0, "the proof is kept seven years past the person's last word");
    let unsure = Statement { at: Wall(0), sure: false, ..said(Scope::Shop, Act::Unblock) };
    assert_eq!(expired(&chain(vec![unsure]), late), 0, "1970 was a clock that was not set");
}

#[test]
fn logs_show_neither_words_nor_number() {
    let text = format!("{:?}", chain(vec![said(Scope::Shop, Act::Block)]));
    assert!(!text.contains("STOP") && !text.contains("5550101"), "{text}");
}

fn any_scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        Just(Scope::Shop),
        "[ab]".prop_map(|l| Scope::Line(LineId(l))),
        Just(Scope::Number(phone("+12065550199"))),
    ]
}

fn any_act() -> impl Strategy<Value = Act> {
    let topic = prop_oneof![Just(Topic::Marketing), Just(Topic::Informational)];
    prop_oneof![
        Just(Act::Block),
        Just(Act::Unblock),
        topic.clone().prop_map(Act::Consent),
        topic.prop_map(Act::Withdrawal),
        Just(Act::Pause),
        Just(Act::Resume),
    ]
}

prop_compose! {
    fn any_statement()(
        scope in any_scope(), act in any_act(), who in 0..3_u8, words in ".{0,12}", proof in ".{0,6}",
        at in 0..12 * YEAR, sure: bool,
    ) -> Statement {
        Statement { subject: phone(&format!("+1206555010{who}")), words, proof, at: Wall(at), sure, ..said(scope, act) }
    }
}

fn spoil(entry: &mut Entry, how: u8) {
    let s = &mut entry.statement;
    match how {
        0 => s.words.push('x'),
        1 => s.proof.insert(0, 'x'),
        2 => s.at.0 += 1,
        3 => s.sure = !s.sure,
        4 => s.subject = phone("+12065550177"),
        5 => s.act = if s.act == Act::Block { Act::Unblock } else { Act::Block },
        6 => s.scope = if s.scope == Scope::Shop { Scope::Line(LineId::from("a")) } else { Scope::Shop },
        7 => s.origin = Origin::Import,
        8 => entry.link.0[31] ^= 1,
        _ => entry.before.0[0] ^= 1,
    }
}

proptest! {
    #[test]
    fn the_first_entry_that_was_touched_is_named(
        statements in prop::collection::vec(any_statement(), 1..12), at: prop::sample::Index, how in 0..10_u8,
    ) {
        let start = Head::beginning(&ShopId::from("main"));
        let mut entries = chain(statements);
        prop_assert_eq!(verify(start, &entries, None), Ok(entries[entries.len() - 1].head()));
        let n = at.index(entries.len());
        spoil(&mut entries[n], how);
        let seq = n as u64 + 1;
        let expected = if how == 9 { Broken::Before { seq } } else { Broken::Changed { seq } };
        prop_assert_eq!(verify(start, &entries, None), Err(expected));
    }

    #[test]
    fn a_missing_entry_is_named(
        statements in prop::collection::vec(any_statement(), 2..12), at: prop::sample::Index,
    ) {
        let mut entries = chain(statements);
        let n = at.index(entries.len() - 1);
        entries.remove(n);
        let (expected, found) = (n as u64 + 1, n as u64 + 2);
        let start = Head::beginning(&ShopId::from("main"));
        prop_assert_eq!(verify(start, &entries, None), Err(Broken::Order { expected, found }));
    }

    #[test]
    fn after_a_block_at_the_shop_only_a_release_at_the_shop_sends_again(
        before in prop::collection::vec((any_scope(), any_act()), 0..10),
        after in prop::collection::vec((any_scope(), any_act()), 0..10),
        purpose in prop_oneof![Just(Purpose::Reply), Just(Purpose::Informational), Just(Purpose::Marketing)],
    ) {
        let released = after.contains(&(Scope::Shop, Act::Unblock));
        let acts: Vec<_> = before.into_iter().chain([(Scope::Shop, Act::Block)]).chain(after).collect();
        let verdict = standing(&acts).may_send(purpose, &LineId::from("a"), Some(&phone("+12065550199")));
        prop_assert!(released || matches!(verdict, Err(Refusal::Blocked(_))), "{:?}", verdict);
    }

    #[test]
    fn what_goes_by_age_changes_nobodys_standing(
        statements in prop::collection::vec(any_statement(), 0..16), years in 0..25_i64,
    ) {
        let entries = chain(statements);
        let gone = expired(&entries, Now::at(0, years * YEAR));
        let from = if gone == 0 { Head::beginning(&ShopId::from("main")) } else { entries[gone - 1].head() };
        prop_assert!(verify(from, &entries[gone..], None).is_ok());
        for who in 0..3 {
            let subject = phone(&format!("+1206555010{who}"));
            prop_assert_eq!(Standing::of(&subject, &entries), Standing::of(&subject, &entries[gone..]));
        }
    }
}
