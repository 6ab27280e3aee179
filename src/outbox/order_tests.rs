//! Orders against modelled dealers: any answer lost, any crash, never two orders.

use proptest::prelude::*;

use super::*;

const KEYED: Capabilities = Capabilities { idempotency_key: true, client_reference: false };
const REFERENCED: Capabilities = Capabilities { idempotency_key: false, client_reference: true };
const BARE: Capabilities = Capabilities { idempotency_key: false, client_reference: false };

fn policy(capabilities: Capabilities) -> OrderPolicy {
    OrderPolicy { capabilities, ..OrderPolicy::default() }
}

fn at(ms: u64) -> Now {
    Now::at(ms, 1_700_000_000_000)
}

fn order(now: Now) -> Order {
    Order::new(OrderId::from("OR1"), OrderKind::Service, "C1".into(), Map::new(), now)
}

fn handed(policy: &OrderPolicy) -> Order {
    let mut order = order(at(0));
    assert_eq!(order.handle(OrderInput::Due, at(0), policy), Some(OrderAction::Post));
    order
}

fn unknown() -> OrderInput {
    OrderInput::Placed(PlaceResult::Unknown { why: "no answer".into() })
}

fn not_sent(retry_after: Option<u32>) -> OrderInput {
    OrderInput::Placed(PlaceResult::NotSent { why: "no route".into(), retry_after })
}

fn refused(status: u16) -> OrderInput {
    OrderInput::Placed(PlaceResult::Refused { status, message: "no".into() })
}

fn answer() -> Map<String, Value> {
    Map::from_iter([("order_id".to_owned(), Value::from("SO-1"))])
}

#[test]
fn a_confirmed_order_is_settled_once() {
    let policy = policy(BARE);
    let mut order = handed(&policy);
    let confirmed = OrderInput::Placed(PlaceResult::Confirmed(answer()));
    assert_eq!(order.handle(confirmed.clone(), at(10), &policy), Some(OrderAction::Settled));
    assert_eq!(order.state, OrderState::Confirmed(answer()));
    assert_eq!(order.handle(confirmed, at(20), &policy), None);
    assert_eq!(order.due(), None);
}

#[test]
fn an_order_that_reached_nobody_pauses_longer_each_time_and_never_longer_than_the_most() {
    let policy = policy(BARE);
    let mut order = handed(&policy);
    let mut now = at(0);
    let mut last = Duration::ZERO;
    for failure in 1..=20_u32 {
        assert_eq!(order.handle(not_sent(None), now, &policy), None);
        let due = order.due().unwrap();
        let pause = due.since(now.mono);
        let whole = Duration::from_secs(2 << (failure - 1).min(20)).min(policy.backoff_most);
        assert!(pause >= whole / 2 && pause <= whole, "failure {failure}: {pause:?} of {whole:?}");
        assert!(pause >= last / 2);
        last = pause;
        assert_eq!(order.handle(OrderInput::Due, at(due.0 - 1), &policy), None);
        now = at(due.0);
        assert_eq!(order.handle(OrderInput::Due, now, &policy), Some(OrderAction::Post));
    }
    assert_eq!(order.attempts, 21);
}

#[test]
fn two_orders_that_failed_together_do_not_come_back_together() {
    let policy = policy(BARE);
    let dues: std::collections::BTreeSet<_> = (0..50)
        .map(|n| {
            let mut order = handed(&policy);
            order.id = OrderId(format!("OR{n}"));
            order.handle(not_sent(None), at(0), &policy);
            order.due()
        })
        .collect();
    assert!(dues.len() > 40, "{}", dues.len());
}

#[test]
fn retry_after_is_honoured_up_to_an_hour() {
    let policy = policy(BARE);
    let mut order = handed(&policy);
    order.handle(not_sent(Some(90)), at(0), &policy);
    assert_eq!(order.due(), Some(Mono(90_000)));
    let mut order = handed(&policy);
    order.handle(not_sent(Some(604_800)), at(0), &policy);
    assert_eq!(order.due(), Some(Mono(3_600_000)));
}

#[test]
fn a_dealer_who_is_back_gets_what_waits_at_once_but_not_before_a_pause_that_he_asked_for() {
    let policy = policy(REFERENCED);
    let mut waiting = handed(&policy);
    for _ in 0..8 {
        waiting.handle(not_sent(None), at(0), &policy);
        waiting.state = OrderState::Handed { since: Mono(0) };
    }
    waiting.handle(not_sent(None), at(0), &policy);
    assert!(waiting.due().unwrap() > Mono(100_000));
    assert_eq!(waiting.handle(OrderInput::Reached, at(10), &policy), Some(OrderAction::Post));

    let mut asked = handed(&policy);
    asked.handle(not_sent(Some(90)), at(0), &policy);
    assert_eq!(asked.handle(OrderInput::Reached, at(10), &policy), None);
    assert_eq!(asked.due(), Some(Mono(90_000)));

    let mut in_doubt = handed(&policy);
    in_doubt.handle(unknown(), at(0), &policy);
    assert_eq!(in_doubt.handle(OrderInput::Reached, at(10), &policy), None, "he may still be writing");
    assert_eq!(in_doubt.due(), Some(Mono(5000)));
    let unreachable = OrderInput::LookedUp(LookUpResult::Unreachable { why: "down".into() });
    in_doubt.failures = 9;
    in_doubt.handle(OrderInput::Due, at(5000), &policy);
    in_doubt.handle(unreachable, at(5000), &policy);
    assert!(in_doubt.due().unwrap() > Mono(100_000));
    assert_eq!(in_doubt.handle(OrderInput::Reached, at(6000), &policy), Some(OrderAction::LookUp));
    assert_eq!(in_doubt.handle(OrderInput::Reached, at(6001), &policy), None, "it is being looked for");
}

#[test]
fn with_an_idempotent_dealer_the_same_order_is_sent_again_without_looking() {
    let policy = policy(KEYED);
    let mut order = handed(&policy);
    assert_eq!(order.handle(unknown(), at(0), &policy), None);
    let due = order.due().unwrap();
    assert_eq!(order.handle(OrderInput::Due, at(due.0), &policy), Some(OrderAction::Post));
}

#[test]
fn with_references_an_order_in_doubt_is_looked_for_after_the_settling_pause() {
    let policy = policy(REFERENCED);
    let mut order = handed(&policy);
    order.handle(unknown(), at(1000), &policy);
    assert_eq!(order.due(), Some(Mono(6000)));
    assert_eq!(order.handle(OrderInput::Due, at(5999), &policy), None);
    assert_eq!(order.handle(OrderInput::Due, at(6000), &policy), Some(OrderAction::LookUp));
    let mut found = order.clone();
    let action = found.handle(OrderInput::LookedUp(LookUpResult::Found(answer())), at(6100), &policy);
    assert_eq!(action, Some(OrderAction::Settled));
    assert_eq!(found.state, OrderState::Confirmed(answer()));
    let mut absent = order.clone();
    let action = absent.handle(OrderInput::LookedUp(LookUpResult::Absent), at(6100), &policy);
    assert_eq!(action, Some(OrderAction::Post));
    let unreachable = OrderInput::LookedUp(LookUpResult::Unreachable { why: "down".into() });
    assert_eq!(order.handle(unreachable, at(6100), &policy), None);
    assert!(order.due().unwrap() > Mono(6100));
    assert!(matches!(order.state, OrderState::LookUpDue { .. }));
}

#[test]
fn a_dealer_whose_orders_show_no_references_leaves_it_to_the_staff() {
    let policy = policy(REFERENCED);
    let mut order = handed(&policy);
    order.handle(unknown(), at(0), &policy);
    order.handle(OrderInput::Due, at(5000), &policy);
    let action = order.handle(OrderInput::LookedUp(LookUpResult::NotSupported), at(5100), &policy);
    assert_eq!(action, Some(OrderAction::Settled));
    assert!(matches!(order.state, OrderState::Unknown { .. }));
}

#[test]
fn with_neither_an_unknown_outcome_is_for_the_staff_and_only_they_send_it_again() {
    let policy = policy(BARE);
    let mut order = handed(&policy);
    assert_eq!(order.handle(unknown(), at(0), &policy), Some(OrderAction::Settled));
    assert_eq!(order.handle(OrderInput::Due, at(1 << 40), &policy), None);
    assert_eq!(order.handle(OrderInput::Restarted, at(0), &policy), None);
    assert_eq!(order.handle(OrderInput::Resend, at(9), &policy), Some(OrderAction::Post));
    assert_eq!(order.handle(OrderInput::Resend, at(9), &policy), None, "it is under way");
    assert_eq!(order.handle(not_sent(None), at(10), &policy), None, "theirs to send until it was sent");
    assert!(matches!(order.state, OrderState::Queued { .. }));
}

#[test]
fn an_order_in_doubt_is_not_sent_again_when_the_settings_change_under_it() {
    let mut order = handed(&policy(KEYED));
    order.handle(unknown(), at(0), &policy(KEYED));
    order.handle(OrderInput::Due, at(10_000), &policy(KEYED));
    order.handle(not_sent(None), at(10_001), &policy(KEYED));
    let due = order.due().unwrap();
    assert_eq!(order.handle(OrderInput::Due, at(due.0), &policy(BARE)), Some(OrderAction::Settled));
    assert!(matches!(order.state, OrderState::Unknown { .. }));
}

#[test]
fn a_restart_takes_what_was_under_way_as_unknown_and_forgets_times_of_another_boot() {
    let month = 30 * 24 * 3_600_000;
    let mut queued = order(at(month));
    assert_eq!(queued.handle(OrderInput::Restarted, at(500), &policy(BARE)), None);
    assert_eq!(queued.due(), Some(Mono(500)));
    let mut under_way = handed(&policy(BARE));
    let action = under_way.handle(OrderInput::Restarted, at(500), &policy(BARE));
    assert_eq!(action, Some(OrderAction::Settled));
    let mut under_way = handed(&policy(REFERENCED));
    assert_eq!(under_way.handle(OrderInput::Restarted, at(500), &policy(REFERENCED)), None);
    assert_eq!(under_way.due(), Some(Mono(5500)));
}

#[test]
fn a_conflict_under_a_repeated_key_is_not_a_refusal_and_does_not_go_on_for_ever() {
    let policy = policy(KEYED);
    let mut first = handed(&policy);
    assert_eq!(first.handle(refused(409), at(1), &policy), Some(OrderAction::Settled));
    assert!(matches!(first.state, OrderState::Refused { status: 409, .. }));
    let mut order = handed(&policy);
    order.handle(unknown(), at(1), &policy);
    let mut posts = 1;
    while let Some(due) = order.due() {
        assert_eq!(order.handle(OrderInput::Due, at(due.0), &policy), Some(OrderAction::Post));
        posts += 1;
        order.handle(refused(409), at(due.0 + 1), &policy);
    }
    assert_eq!(posts, CONFLICTS_MOST);
    assert!(matches!(order.state, OrderState::Unknown { .. }));
}

#[test]
fn a_post_that_nobody_ever_answers_is_taken_as_unknown() {
    let policy = policy(REFERENCED);
    let mut order = handed(&policy);
    assert_eq!(order.due(), Some(Mono(600_000)));
    assert_eq!(order.handle(OrderInput::Due, at(600_000), &policy), None);
    assert!(matches!(order.state, OrderState::LookUpDue { .. }));
}

/// What goes wrong at one post or look-up, or between two commits.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    None,
    /// The dealer is not reached.
    NotReached,
    /// The dealer does nothing and answers 500.
    Failed,
    /// The dealer writes the order, this long after he got it; his answer is lost.
    AnswerLost(u64),
    /// He refuses it.
    Refused,
    /// The box dies after the row, before the post.
    DiesBefore,
    /// The box dies after the dealer got it, before anything is known; he writes it this much later.
    DiesAfter(u64),
    /// The dealer answers; the box dies before the row with the answer.
    DiesBeforeRow,
    /// The box dies while the order waits for its time.
    DiesWaiting,
    /// Somebody else reached the dealer while it waits.
    Reached,
}

fn mishap(refusals: bool) -> impl Strategy<Value = Mishap> {
    prop_oneof![
        2 => Just(Mishap::None),
        2 => Just(Mishap::NotReached),
        2 => Just(Mishap::Failed),
        3 => (0..4900_u64).prop_map(Mishap::AnswerLost),
        u32::from(refusals) => Just(Mishap::Refused),
        1 => Just(Mishap::DiesBefore),
        2 => (0..4900_u64).prop_map(Mishap::DiesAfter),
        1 => Just(Mishap::DiesBeforeRow),
        2 => Just(Mishap::DiesWaiting),
        2 => Just(Mishap::Reached),
    ]
}

/// A dealer in memory: keys or references or neither.
struct Dealer {
    mode: Capabilities,
    /// When each order was, or will be, written.
    orders: Vec<u64>,
}

impl Dealer {
    fn post(&mut self, at: u64) {
        if !self.mode.idempotency_key || self.orders.is_empty() {
            self.orders.push(at);
        }
    }

    fn look_up(&self, now: u64) -> LookUpResult {
        match (self.mode.client_reference, self.orders.iter().any(|at| *at <= now)) {
            (false, _) => LookUpResult::NotSupported,
            (true, true) => LookUpResult::Found(answer()),
            (true, false) => LookUpResult::Absent,
        }
    }
}

/// The order's row, the dealer, and a clock: what the daemon does, with every mishap in between.
struct BackRoom {
    row: String,
    dealer: Dealer,
    now: u64,
    policy: OrderPolicy,
    settled: u32,
}

impl BackRoom {
    fn new(mode: Capabilities) -> Self {
        let row = serde_json::to_string(&order(at(0))).unwrap();
        Self { row, dealer: Dealer { mode, orders: vec![] }, now: 0, policy: policy(mode), settled: 0 }
    }

    fn load(&self) -> Order {
        serde_json::from_str(&self.row).unwrap()
    }

    fn step(&mut self, input: OrderInput) -> Option<OrderAction> {
        let mut order = self.load();
        let action = order.handle(input, at(self.now), &self.policy);
        self.row = serde_json::to_string(&order).unwrap();
        self.settled += u32::from(action == Some(OrderAction::Settled));
        action
    }

    /// One action of the outbox with one mishap; `None` when the box died in it.
    fn act(&mut self, action: OrderAction, mishap: Mishap) -> Option<OrderInput> {
        self.now += 100;
        Some(match (action, mishap) {
            (OrderAction::Settled, _) => OrderInput::Due,
            (_, Mishap::DiesBefore | Mishap::DiesWaiting | Mishap::Reached) => return None,
            (OrderAction::LookUp, Mishap::DiesAfter(_) | Mishap::DiesBeforeRow) => return None,
            (OrderAction::LookUp, Mishap::None | Mishap::Refused) => {
                OrderInput::LookedUp(self.dealer.look_up(self.now))
            }
            (OrderAction::LookUp, Mishap::NotReached | Mishap::Failed | Mishap::AnswerLost(_)) => {
                OrderInput::LookedUp(LookUpResult::Unreachable { why: "down".into() })
            }
            (OrderAction::Post, Mishap::DiesAfter(later)) => {
                self.dealer.post(self.now + later);
                return None;
            }
            (OrderAction::Post, Mishap::DiesBeforeRow) => {
                self.dealer.post(self.now);
                return None;
            }
            (OrderAction::Post, Mishap::None) => {
                self.dealer.post(self.now);
                OrderInput::Placed(PlaceResult::Confirmed(answer()))
            }
            (OrderAction::Post, Mishap::NotReached) => not_sent(None),
            (OrderAction::Post, Mishap::Failed) => unknown(),
            (OrderAction::Post, Mishap::AnswerLost(later)) => {
                self.dealer.post(self.now + later);
                unknown()
            }
            // A dealer that honours keys answers for the order that he has.
            (OrderAction::Post, Mishap::Refused) if !self.dealer.orders.is_empty() => unknown(),
            (OrderAction::Post, Mishap::Refused) => refused(422),
        })
    }

    fn run(&mut self, mishaps: &[Mishap]) {
        let mut mishaps = mishaps.iter().copied().peekable();
        for _ in 0..1000 {
            let mut action = None;
            while let Some(next) = mishaps.next_if(|m| matches!(m, Mishap::DiesWaiting | Mishap::Reached)) {
                self.now += 10;
                action = match next {
                    Mishap::Reached => self.step(OrderInput::Reached),
                    _ => self.step(OrderInput::Restarted),
                };
                if action.is_some() {
                    break;
                }
            }
            if action.is_none() {
                let Some(due) = self.load().due() else { return };
                self.now = self.now.max(due.0);
                action = self.step(OrderInput::Due);
            }
            while let Some(next) = action {
                action = match self.act(next, mishaps.next().unwrap_or(Mishap::None)) {
                    Some(input) => self.step(input),
                    None => self.step(OrderInput::Restarted),
                };
            }
        }
        panic!("the order never settles: {}", self.row);
    }
}

fn any_input() -> impl Strategy<Value = OrderInput> {
    prop_oneof![
        3 => Just(OrderInput::Due),
        1 => Just(OrderInput::Restarted),
        1 => Just(OrderInput::Reached),
        1 => Just(OrderInput::Placed(PlaceResult::Confirmed(answer()))),
        1 => Just(unknown()),
        1 => Just(not_sent(None)),
        1 => Just(refused(422)),
        1 => Just(OrderInput::LookedUp(LookUpResult::Found(answer()))),
        1 => Just(OrderInput::LookedUp(LookUpResult::Absent)),
        1 => Just(OrderInput::LookedUp(LookUpResult::NotSupported)),
        1 => Just(OrderInput::LookedUp(LookUpResult::Unreachable { why: "down".into() })),
    ]
}

proptest! {
    #[test]
    fn whatever_is_lost_or_dies_a_capable_dealer_gets_the_order_exactly_once(
        keyed in any::<bool>(),
        mishaps in prop::collection::vec(mishap(false), 0..30),
    ) {
        let mut the_box = BackRoom::new(if keyed { KEYED } else { REFERENCED });
        the_box.run(&mishaps);
        prop_assert_eq!(the_box.dealer.orders.len(), 1);
        prop_assert_eq!(the_box.settled, 1);
        prop_assert_eq!(the_box.load().state, OrderState::Confirmed(answer()));
    }

    #[test]
    fn a_refused_order_settles_once_and_is_with_the_dealer_at_most_once(
        keyed in any::<bool>(),
        mishaps in prop::collection::vec(mishap(true), 0..30),
    ) {
        let mut the_box = BackRoom::new(if keyed { KEYED } else { REFERENCED });
        the_box.run(&mishaps);
        prop_assert_eq!(the_box.settled, 1);
        let refused = matches!(the_box.load().state, OrderState::Refused { .. });
        prop_assert_eq!(the_box.dealer.orders.len(), usize::from(!refused));
    }

    #[test]
    fn a_bare_dealer_gets_it_at_most_once_and_doubt_is_never_confirmed(
        mishaps in prop::collection::vec(mishap(true), 0..30),
    ) {
        let mut the_box = BackRoom::new(BARE);
        the_box.run(&mishaps);
        prop_assert_eq!(the_box.settled, 1);
        let orders = the_box.dealer.orders.len();
        match the_box.load().state {
            OrderState::Confirmed(_) => prop_assert_eq!(orders, 1),
            OrderState::Refused { .. } => prop_assert_eq!(orders, 0),
            OrderState::Unknown { .. } => prop_assert!(orders <= 1),
            other => prop_assert!(false, "not settled: {:?}", other),
        }
    }

    #[test]
    fn any_order_of_inputs_settles_at_most_once(
        mode in prop::sample::select(vec![KEYED, REFERENCED, BARE]),
        inputs in prop::collection::vec((any_input(), 0..20_000_u64), 0..60),
    ) {
        let policy = policy(mode);
        let mut order = order(at(0));
        let mut now = 0;
        let mut settled = 0;
        for (input, pause) in inputs {
            now += pause;
            settled += u32::from(order.handle(input, at(now), &policy) == Some(OrderAction::Settled));
            prop_assert_eq!(order.is_settled(), settled == 1);
            prop_assert_eq!(order.due().is_none(), order.is_settled());
        }
    }
}
