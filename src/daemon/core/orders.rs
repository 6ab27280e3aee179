//! Orders: from the flow that places one to the text that tells how it went. The order's own history is
//! `outbox::Order`'s; here is who is told, and when.
//!
//! Who hears: a flow that waits for the outcome hears it and no text follows; else the customer gets the follow-up
//! text when confirmed, the flow behind the guide's failure text when refused, and when nobody can tell, the
//! customer is told that a person looks into it and the staff are told to.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::dealer::DealerCommand;
use crate::flow::{Input, OrderAnswer};
use crate::messaging::Waiting;
use crate::outbox::{Order, OrderAction, OrderInput, OrderPolicy, OrderState};
use crate::store::{Op, OrderRow, Snapshot, Source};
use crate::types::{ExecutionSid, MessageId, OrderId, OrderKind, PlaceResult, Wall, derive_sid};

/// An order and who is to hear of it.
#[derive(Debug)]
pub(super) struct Placed {
    order: Order,
    about: About,
    execution: ExecutionSid,
    created: Wall,
}

/// The stored form of what surrounds an order.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    version: u32,
    person: String,
    /// The execution waits for the outcome itself.
    waiting: bool,
    /// What the texts need.
    facts: Map<String, Value>,
}

impl Placed {
    pub(super) fn is_unknown(&self) -> bool {
        matches!(self.order.state, OrderState::Unknown { .. })
    }
}

impl Shop {
    pub(super) fn load_orders(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let shop = self.id.clone();
        for row in snapshot.orders.iter().filter(|r| r.shop == shop) {
            let order = serde_json::from_value::<Order>(row.order.clone());
            let about = serde_json::from_value::<About>(row.about.clone());
            let (Ok(mut order), Ok(about)) = (order, about) else {
                cx.alarm(format!("order {} cannot be read and is left as it is", row.id));
                continue;
            };
            if snapshot.restored && matches!(order.state, OrderState::Queued { .. }) {
                // What a copy says is still to be posted may have been posted since.
                order.state = OrderState::Handed { since: cx.now.mono };
            }
            if about.waiting {
                let wait = cx.now.mono + self.settings.seconds("dealer.order_wait");
                cx.timers.set(TimerKey::OrderWait(self.id.clone(), row.id.clone()), wait);
            }
            let placed = Placed { order, about, execution: row.execution.clone(), created: row.created };
            self.orders.insert(row.id.clone(), placed);
            self.order_input(cx, &row.id, OrderInput::Restarted);
        }
    }

    fn policy(&self) -> OrderPolicy {
        OrderPolicy {
            capabilities: self.capabilities(),
            backoff_first: self.settings.seconds("dealer.backoff_first"),
            backoff_most: self.settings.seconds("dealer.backoff_most"),
            settle: self.settings.seconds("dealer.settle"),
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the flow's effect, field by field")]
    pub(super) fn place_order(
        &mut self,
        cx: &mut Cx<'_>,
        sid: &ExecutionSid,
        id: OrderId,
        kind: OrderKind,
        body: Map<String, Value>,
        facts: Map<String, Value>,
        wait: bool,
    ) {
        if self.orders.contains_key(&id) {
            return;
        }
        let Some(person) = self.runs.get(sid).map(|r| r.person.clone()) else { return };
        let customer = body.get("customer_id").and_then(Value::as_str).unwrap_or_default().to_owned();
        let order = Order::new(id.clone(), kind, customer, body, cx.now);
        let about = About { version: 1, person, waiting: wait, facts };
        self.orders.insert(id.clone(), Placed { order, about, execution: sid.clone(), created: cx.now.wall });
        if wait {
            let deadline = cx.now.mono + self.settings.seconds("dealer.order_wait");
            cx.timers.set(TimerKey::OrderWait(self.id.clone(), id.clone()), deadline);
        }
        if self.setup.dealer.is_none() {
            cx.alarm(format!("shop {}: order {id} waits: no dealer is configured", self.id));
        }
        self.order_input(cx, &id, OrderInput::Due);
    }

    pub(super) fn order_due(&mut self, cx: &mut Cx<'_>, id: &OrderId) {
        self.order_input(cx, id, OrderInput::Due);
    }

    /// The dealer is back: what waits for its next try is tried now.
    pub(super) fn orders_now(&mut self, cx: &mut Cx<'_>) {
        let waiting: Vec<OrderId> = self.orders.keys().cloned().collect();
        for id in waiting {
            self.order_input(cx, &id, OrderInput::Reached);
        }
    }

    pub(super) fn order_input(&mut self, cx: &mut Cx<'_>, id: &OrderId, input: OrderInput) {
        // It did not arrive and will be tried again: the customer need not wait for that.
        let waits_in_vain = matches!(input, OrderInput::Placed(PlaceResult::NotSent { .. }));
        // An order is the surest sign of how the dealer is.
        match &input {
            OrderInput::Placed(PlaceResult::Confirmed(_) | PlaceResult::Refused { .. }) => {
                self.dealer_answered(cx, true);
            }
            OrderInput::Placed(PlaceResult::NotSent { .. } | PlaceResult::Unknown { .. }) => {
                self.dealer_answered(cx, false);
            }
            OrderInput::Due
            | OrderInput::LookedUp(_)
            | OrderInput::Restarted
            | OrderInput::Reached
            | OrderInput::Resend => {}
        }
        // A post that is under way may still be answered; nothing is begun.
        if self.stopping && !matches!(input, OrderInput::Placed(_)) {
            return;
        }
        let no_dealer = self.setup.dealer.is_none();
        let policy = self.policy();
        let Some(placed) = self.orders.get_mut(id) else { return };
        if no_dealer && matches!(input, OrderInput::Due) {
            self.put_order(cx, id);
            return;
        }
        let before = placed.order.clone();
        let action = placed.order.handle(input, cx.now, &policy);
        let changed = placed.order != before;
        let timer = TimerKey::Order(self.id.clone(), id.clone());
        match placed.order.due() {
            Some(due) => cx.timers.set(timer, due),
            None => cx.timers.cancel(&timer),
        }
        let order = placed.order.clone();
        match action {
            Some(OrderAction::Post) => {
                let (shop, kind, body) = (self.id.clone(), order.kind, order.body);
                cx.after(Effect::Dealer(DealerCommand::Place { shop, order: id.clone(), kind, body }));
            }
            Some(OrderAction::LookUp) => {
                let (shop, kind, customer_id) = (self.id.clone(), order.kind, order.customer_id);
                cx.after(Effect::Dealer(DealerCommand::LookUp {
                    shop,
                    order: id.clone(),
                    kind,
                    customer_id,
                }));
            }
            Some(OrderAction::Settled) => self.order_settled(cx, id),
            None => {}
        }
        if changed || before.attempts == 0 {
            self.put_order(cx, id);
        }
        if waits_in_vain && !self.stopping {
            self.order_wait_ended(cx, id);
        }
        let over = self
            .orders
            .get(id)
            .is_some_and(|p| matches!(p.order.state, OrderState::Confirmed(_) | OrderState::Refused { .. }));
        if over {
            self.orders.remove(id);
        }
    }

    /// The flow has waited enough: it goes on, and the customer hears by text.
    pub(super) fn order_wait_ended(&mut self, cx: &mut Cx<'_>, id: &OrderId) {
        let Some(placed) = self.orders.get_mut(id).filter(|p| p.about.waiting) else { return };
        placed.about.waiting = false;
        let sid = placed.execution.clone();
        cx.inputs.push_back((sid, Input::OrderDone(id.clone(), OrderAnswer::Pending)));
        self.put_order(cx, id);
    }

    fn order_settled(&mut self, cx: &mut Cx<'_>, id: &OrderId) {
        let Some(placed) = self.orders.get_mut(id) else { return };
        let waiting = std::mem::take(&mut placed.about.waiting);
        cx.timers.cancel(&TimerKey::OrderWait(self.id.clone(), id.clone()));
        let sid = placed.execution.clone();
        let heard = waiting && self.runs.contains_key(&sid);
        let Some(placed) = self.orders.get(id) else { return };
        let (order, about) = (placed.order.clone(), placed.about.clone());
        self.forget_transactions(cx, &order.customer_id);
        match order.state.clone() {
            OrderState::Confirmed(answer) if heard => {
                cx.inputs.push_back((sid, Input::OrderDone(id.clone(), OrderAnswer::Confirmed(answer))));
            }
            OrderState::Confirmed(answer) => {
                let body = self.confirmation(order.kind, &about.facts, &answer);
                let message = MessageId(derive_sid("SM", &[id.as_str(), "confirmed"]));
                self.send_text(cx, message, &about.person, body, Source::Box, None);
            }
            OrderState::Refused { message, .. } if heard => {
                cx.inputs.push_back((sid, Input::OrderDone(id.clone(), OrderAnswer::Refused(message))));
            }
            OrderState::Refused { status, .. } => {
                cx.alarm(format!("order {id} was refused by the dealer with {status}"));
                self.failed_flow(cx, id, order.kind, about);
            }
            OrderState::Unknown { why } => {
                cx.alarm(format!("order {id} is unknown and waits for staff: {why}"));
                if heard {
                    cx.inputs.push_back((sid, Input::OrderDone(id.clone(), OrderAnswer::Pending)));
                }
                self.tell_of_unknown(cx, id, &order, &about);
            }
            OrderState::Queued { .. }
            | OrderState::Handed { .. }
            | OrderState::LookUpDue { .. }
            | OrderState::LookingUp { .. } => {}
        }
    }

    fn failed_flow(&mut self, cx: &mut Cx<'_>, id: &OrderId, kind: OrderKind, about: About) {
        let mut parameters = about.facts;
        // The names under which flows hand each other their context.
        for (from, to) in [
            ("equipmentName", "EquipmentName"),
            ("description", "ProblemDescription"),
            ("partName", "PartName"),
        ] {
            if let Some(value) = parameters.get(from).cloned() {
                parameters.insert(to.into(), value);
            }
        }
        parameters.insert("OrderKind".into(), kind.as_str().into());
        parameters.insert("OrderReference".into(), id.as_str().into());
        let sid = ExecutionSid(derive_sid("FN", &[id.as_str(), "failed"]));
        let flow = self.settings.text("flows.order_failed").to_owned();
        let waiting = Waiting { sid, flow, parameters, order: Some(id.clone()) };
        self.talk(cx, &about.person).state.waiting.push_back(waiting);
        cx.dirty_people.insert(about.person.clone());
        cx.touched.insert(about.person);
    }

    fn tell_of_unknown(&mut self, cx: &mut Cx<'_>, id: &OrderId, order: &Order, about: &About) {
        let shop = self.settings.text("shop.name").to_owned();
        let phone = self.shop_phone();
        let call = if phone.is_empty() { String::new() } else { format!(" You can also call {phone}.") };
        let kind = match order.kind {
            OrderKind::Service => "service order",
            OrderKind::Parts => "parts order",
        };
        let body = format!(
            "We could not confirm your {kind} automatically. A person at {shop} will check it and get back to you; please do not order it again.{call}"
        );
        let message = MessageId(derive_sid("SM", &[id.as_str(), "unknown"]));
        self.send_text(cx, message, &about.person, body, Source::Box, None);
        let what = about.facts.get("description").or_else(|| about.facts.get("partName"));
        let what = what.and_then(Value::as_str).unwrap_or_default();
        let person = &about.person;
        self.tell_staff(cx, &format!("Please check: the {kind} of {person} ({what}) may or may not have reached the dealer. Reference {id}."));
    }

    /// The guide's follow-up text.
    fn confirmation(
        &self,
        kind: OrderKind,
        facts: &Map<String, Value>,
        answer: &Map<String, Value>,
    ) -> String {
        let text = |map: &Map<String, Value>, key: &str| match map.get(key) {
            Some(Value::String(t)) => t.clone(),
            Some(Value::Number(n)) => n.to_string(),
            _ => String::new(),
        };
        let emoji =
            |mark: &str| if self.settings.switch("emoji") { format!("{mark} ") } else { String::new() };
        let mut lines = Vec::new();
        let head = match kind {
            OrderKind::Service => "Service Confirmed!",
            OrderKind::Parts => "Parts Order Confirmed!",
        };
        lines.push(format!("{}{head}", emoji("\u{2705}")));
        lines.push(String::new());
        lines.push(format!("Order #{}", text(answer, "order_id")));
        let what = match kind {
            OrderKind::Service => text(facts, "description"),
            OrderKind::Parts => {
                let quantity = text(facts, "quantity");
                let part = text(facts, "partName");
                if quantity.is_empty() { part } else { format!("{part} (Qty: {quantity})") }
            }
        };
        let about: Vec<String> =
            [text(facts, "equipmentName"), what].into_iter().filter(|t| !t.is_empty()).collect();
        lines.push(about.join(" - "));
        let total = text(answer, "total");
        if kind == OrderKind::Parts && !total.is_empty() {
            lines.push(format!("Total: ${}", two_decimals(&total)));
        }
        lines.push(String::new());
        for (mark, label, key) in
            [("\u{1F4C4}", "View Invoice", "invoice_url"), ("\u{1F4B3}", "Pay Now", "payment_url")]
        {
            let url = text(answer, key);
            if !url.is_empty() {
                lines.push(format!("{}{label}: {url}", emoji(mark)));
            }
        }
        if lines.last().is_some_and(|l| !l.is_empty()) {
            lines.push(String::new());
        }
        lines.push("Reply MENU for main menu".to_owned());
        lines.join("\n")
    }

    fn put_order(&mut self, cx: &mut Cx<'_>, id: &OrderId) {
        let Some(placed) = self.orders.get(id) else { return };
        let person = placed.about.person.clone();
        let conversation = self.talk(cx, &person).id.clone();
        let Some(placed) = self.orders.get(id) else { return };
        let row = OrderRow {
            shop: self.id.clone(),
            id: id.clone(),
            kind: placed.order.kind,
            conversation,
            execution: placed.execution.clone(),
            state: state_word(&placed.order.state).to_owned(),
            settled: placed.order.is_settled(),
            order: json!(placed.order),
            about: json!(placed.about),
            created: placed.created,
            updated: cx.now.wall,
        };
        cx.put(Op::PutOrder(row));
    }

    /// Staff say: send it again.
    pub(super) fn resend_order(&mut self, cx: &mut Cx<'_>, id: &OrderId) -> Result<Value, String> {
        match self.orders.get(id) {
            None => Err(format!("order {id} is not open or in doubt")),
            Some(placed) if !placed.is_unknown() => Err(format!("order {id} is on its way by itself")),
            Some(_) => {
                self.order_input(cx, id, OrderInput::Resend);
                Ok(json!({ "id": id }))
            }
        }
    }
}

fn state_word(state: &OrderState) -> &'static str {
    match state {
        OrderState::Queued { .. } => "queued",
        OrderState::Handed { .. } => "handed",
        OrderState::LookUpDue { .. } | OrderState::LookingUp { .. } => "looking_up",
        OrderState::Confirmed(_) => "confirmed",
        OrderState::Refused { .. } => "refused",
        OrderState::Unknown { .. } => "unknown",
    }
}

fn two_decimals(amount: &str) -> String {
    amount.parse::<f64>().map_or_else(|_| amount.to_owned(), |n| format!("{n:.2}"))
}
