//! Orders from the outbox's machine through the real edge to a dealer over HTTP: whatever goes wrong once, the
//! dealer has the order once, in each of the three ways in which dealers treat a repeat. Only the clock is made
//! up: it jumps to when the order is due.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

use std::time::Duration;

use backroom::dealer::{self, DealerCommand, DealerConfig, DealerEvent};
use backroom::outbox::{Order, OrderAction, OrderInput, OrderPolicy, OrderState};
use backroom::types::{Capabilities, Now, OrderId, OrderKind, ShopId};
use hil::dealer::{Dealer, Fault, Mode, Options, Plan};
use serde_json::json;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

const FAULTS: [Fault; 17] = [
    Fault::None,
    Fault::Slow { seconds: 60.0 },
    Fault::Down,
    Fault::Unavailable,
    Fault::Error500,
    Fault::Silence,
    Fault::CommitThenSilence,
    Fault::CommitThen500,
    Fault::Portal,
    Fault::Redirect,
    Fault::MissingFields,
    Fault::WrongTypes,
    Fault::TenMegabytes,
    Fault::Truncated,
    Fault::WrongToken,
    Fault::TooMany { retry_after: 30 },
    Fault::Refuse,
];

/// The edge as one life of the box has it; dropping it is the box's death.
struct Edge {
    commands: mpsc::Sender<DealerCommand>,
    events: mpsc::Receiver<DealerEvent>,
    task: JoinHandle<()>,
    _stop: watch::Sender<bool>,
}

impl Drop for Edge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Edge {
    fn start(url: String, patience: Duration) -> Self {
        let (commands, wanted) = mpsc::channel(8);
        let (reports, events) = mpsc::channel(8);
        let (_stop, stopped) = watch::channel(false);
        let config = DealerConfig {
            total: patience,
            order: patience,
            ..DealerConfig::new(ShopId::from("main"), url, "token".into())
        };
        Self {
            commands,
            events,
            task: tokio::spawn(dealer::run(vec![config], wanted, reports, stopped)),
            _stop,
        }
    }

    async fn tell(&self, order: &Order, action: OrderAction) {
        let (shop, id, kind) = (ShopId::from("main"), order.id.clone(), order.kind);
        let command = match action {
            OrderAction::Post => DealerCommand::Place { shop, order: id, kind, body: order.body.clone() },
            OrderAction::LookUp => {
                let customer_id = order.customer_id.clone();
                DealerCommand::LookUp { shop, order: id, kind, customer_id }
            }
            OrderAction::Settled => return,
        };
        self.commands.send(command).await.unwrap();
    }

    async fn heard(&mut self) -> OrderInput {
        match self.events.recv().await.unwrap() {
            DealerEvent::Placed { result, .. } => OrderInput::Placed(result),
            DealerEvent::LookedUp { result, .. } => OrderInput::LookedUp(result),
            other => panic!("{other:?}"),
        }
    }
}

fn order() -> Order {
    let body = json!({
        "customer_id": "C-1001", "equipment_id": "EQ123",
        "items": [{ "part_number": "HRX217VKA-BLD", "quantity": 2 }],
    });
    let body = body.as_object().cloned().unwrap();
    Order::new(OrderId::from("OR1"), OrderKind::Parts, "C-1001".into(), body, Now::at(0, 0))
}

fn policy(mode: Mode) -> OrderPolicy {
    let capabilities = match mode {
        Mode::Idempotent => Capabilities { idempotency_key: true, client_reference: false },
        Mode::Reference => Capabilities { idempotency_key: false, client_reference: true },
        Mode::Bare => Capabilities::default(),
    };
    OrderPolicy { capabilities, ..OrderPolicy::default() }
}

/// Brings an order to its end, from when it is due; answers how often it settled.
async fn bring_to_its_end(
    order: &mut Order,
    edge: &mut Edge,
    policy: &OrderPolicy,
    after_first: impl Fn(),
) -> u32 {
    let mut settled = 0;
    while let Some(due) = order.due() {
        let now = Now::at(due.0, 0);
        let mut action = order.handle(OrderInput::Due, now, policy);
        while let Some(wanted) = action {
            settled += u32::from(wanted == OrderAction::Settled);
            if wanted == OrderAction::Settled {
                break;
            }
            edge.tell(order, wanted).await;
            let heard = edge.heard().await;
            after_first();
            action = order.handle(heard, now, policy);
        }
    }
    settled
}

fn is_silent(fault: Fault) -> bool {
    matches!(fault, Fault::Slow { .. } | Fault::Silence | Fault::CommitThenSilence)
}

#[tokio::test]
async fn whatever_goes_wrong_with_one_order_the_dealer_has_it_once() {
    for mode in [Mode::Idempotent, Mode::Reference, Mode::Bare] {
        for fault in FAULTS {
            let dealer = Dealer::start(Options { mode, ..Options::default() }).await.unwrap();
            dealer.set_fault(Plan::next_orders(1, fault)).unwrap();
            let patience =
                if is_silent(fault) { Duration::from_millis(300) } else { Duration::from_secs(30) };
            let mut edge = Edge::start(dealer.url(), patience);
            let mut order = order();
            let settled =
                bring_to_its_end(&mut order, &mut edge, &policy(mode), || dealer.resume().unwrap()).await;
            assert_eq!(settled, 1, "{mode:?} {fault:?}");
            let orders = dealer.orders().len();
            match &order.state {
                OrderState::Confirmed(answer) => {
                    assert_eq!(answer["order_id"], "PO-30001", "{mode:?} {fault:?}");
                    assert_eq!(answer["total"], 49.98, "{mode:?} {fault:?}");
                    assert_eq!(orders, 1, "{mode:?} {fault:?}");
                }
                OrderState::Refused { status: 422, .. } => assert_eq!((fault, orders), (Fault::Refuse, 0)),
                OrderState::Unknown { .. } => {
                    assert!(mode == Mode::Bare && orders <= 1, "{mode:?} {fault:?}")
                }
                other => panic!("{mode:?} {fault:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_box_that_dies_after_the_dealer_wrote_the_order_does_not_order_twice() {
    for mode in [Mode::Idempotent, Mode::Reference, Mode::Bare] {
        let dealer = Dealer::start(Options { mode, ..Options::default() }).await.unwrap();
        dealer.set_fault(Plan::next_orders(1, Fault::CommitThenSilence)).unwrap();
        let policy = policy(mode);
        let mut order = order();
        let action = order.handle(OrderInput::Due, Now::at(0, 0), &policy).unwrap();
        let row = serde_json::to_string(&order).unwrap();
        let life = Edge::start(dealer.url(), Duration::from_secs(30));
        life.tell(&order, action).await;
        while dealer.orders().is_empty() {
            tokio::task::yield_now().await;
        }
        drop(life);

        let mut order: Order = serde_json::from_str(&row).unwrap();
        let mut edge = Edge::start(dealer.url(), Duration::from_secs(30));
        let mut settled = u32::from(order.handle(OrderInput::Restarted, Now::at(7, 0), &policy).is_some());
        settled += bring_to_its_end(&mut order, &mut edge, &policy, || {}).await;
        assert_eq!(settled, 1, "{mode:?}");
        assert_eq!(dealer.orders().len(), 1, "{mode:?}");
        match mode {
            Mode::Idempotent | Mode::Reference => assert!(matches!(order.state, OrderState::Confirmed(_))),
            Mode::Bare => assert!(matches!(order.state, OrderState::Unknown { .. })),
        }
    }
}
