//! What flows ask of the dealer, answered by the cache's rules; known customers' data fetched ahead, so that an
//! offline first text still knows them.

use std::time::Duration;

use serde_json::Value;

use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::cache::{Action, Answer, Fetched, Kept, Lookup, Policy, cache_key, widened};
use crate::dealer::{DealerCommand, DealerEvent, FetchResult, segment, shows_references};
use crate::flow::{HttpAnswer, Input};
use crate::outbox::OrderInput;
use crate::store::{CachedRow, Op};
use crate::types::{Capabilities, ExecutionSid, Support};

/// How long what was heard of the dealer is believed while a customer writes.
const HEARD_OF: Duration = Duration::from_secs(5);
/// Customers fetched ahead at a time: the dealer should hardly notice.
const PREFETCH_AT_ONCE: usize = 2;

/// One request under way.
#[derive(Debug)]
pub(super) struct Fetch {
    /// Who waits: execution, and the number of its request. `None`: nobody, it is fetched ahead or for later.
    run: Option<(ExecutionSid, u64)>,
    /// `None`: not the dealer's, answered as it comes.
    lookup: Option<Lookup>,
    /// Widened path.
    path: String,
    /// Whether the transactions are wanted too, once the profile is there.
    ahead: bool,
}

impl Shop {
    /// The path of a URL of this shop's dealer.
    pub(super) fn dealer_path(&self, url: &str) -> Option<String> {
        let base = &self.setup.dealer.as_ref()?.url;
        let path = url.strip_prefix(base.as_str())?;
        (path.starts_with('/') && !base.is_empty()).then(|| path.to_owned())
    }

    pub(super) fn remember_fetch(&mut self, sid: &ExecutionSid, http: u64) -> u64 {
        self.add_fetch(Fetch {
            run: Some((sid.clone(), http)),
            lookup: None,
            path: String::new(),
            ahead: false,
        })
    }

    fn add_fetch(&mut self, fetch: Fetch) -> u64 {
        let id = self.next_fetch;
        self.next_fetch += 1;
        self.fetches.insert(id, fetch);
        id
    }

    /// A flow asks the dealer: first see what is kept.
    pub(super) fn look_up(&mut self, cx: &mut Cx<'_>, sid: &ExecutionSid, http: u64, path: &str) {
        let path = widened(path);
        let key = cache_key(&path);
        let id = self.add_fetch(Fetch { run: Some((sid.clone(), http)), lookup: None, path, ahead: false });
        cx.step.live.push(Effect::ReadCache { shop: self.id.clone(), id, key });
    }

    pub(super) fn cache_read(&mut self, cx: &mut Cx<'_>, id: u64, kept: Option<Kept>) {
        let Some(path) = self.fetches.get(&id).map(|f| f.path.clone()) else { return };
        let policy = self.cache_policy(&path);
        let (lookup, actions) = Lookup::start(kept, cx.now, cx.boot, &policy);
        if let Some(fetch) = self.fetches.get_mut(&id) {
            fetch.lookup = Some(lookup);
        }
        self.lookup_actions(cx, id, actions);
    }

    fn cache_policy(&self, path: &str) -> Policy {
        let s = &self.settings;
        let transactions = path.contains("/transactions");
        let fresh = s.seconds(if transactions { "dealer.transactions_age" } else { "dealer.profile_age" });
        // Who did not answer a moment ago is not waited for again; he is asked all the same.
        let (slow, patience) = match self.dealer.reachable {
            true => (s.seconds("dealer.slow"), s.seconds("dealer.patience")),
            false => (Duration::ZERO, s.seconds("dealer.slow").min(s.seconds("dealer.patience"))),
        };
        Policy { slow, patience, ..Policy::with_fresh(fresh) }
    }

    pub(super) fn lookup_timer(&mut self, cx: &mut Cx<'_>, id: u64) {
        let actions = match self.fetches.get_mut(&id).and_then(|f| f.lookup.as_mut()) {
            Some(lookup) => lookup.handle_timeout(cx.now),
            None => return,
        };
        // Slow is as good as gone for what the customer is told now.
        if actions.iter().any(|a| matches!(a, Action::Answer(_))) {
            self.dealer_answered(cx, false);
        }
        self.lookup_actions(cx, id, actions);
    }

    fn lookup_actions(&mut self, cx: &mut Cx<'_>, id: u64, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Fetch => {
                    let path = self.fetches.get(&id).map(|f| f.path.clone()).unwrap_or_default();
                    cx.after(Effect::Dealer(DealerCommand::Fetch { shop: self.id.clone(), id, path }));
                }
                Action::Wake(after) => {
                    cx.timers.set(TimerKey::Lookup(self.id.clone(), id), cx.now.mono + after);
                }
                Action::Keep(kept) => self.keep(cx, id, kept),
                Action::Answer(answer) => {
                    let run = self.fetches.get_mut(&id).and_then(|f| f.run.take());
                    if let Some((sid, http)) = run {
                        cx.inputs.push_back((sid, Input::HttpDone(http, http_answer(answer))));
                    }
                }
                Action::Done => {
                    cx.timers.cancel(&TimerKey::Lookup(self.id.clone(), id));
                    let ahead = self.fetches.remove(&id).is_some_and(|f| f.ahead);
                    if ahead {
                        self.prefetch_next(cx);
                    }
                }
            }
        }
    }

    fn keep(&mut self, cx: &mut Cx<'_>, id: u64, kept: Kept) {
        let Some(fetch) = self.fetches.get(&id) else { return };
        let (path, ahead) = (fetch.path.clone(), fetch.ahead);
        if path.contains("/transactions") && shows_references(&kept.body) {
            self.dealer.references_seen = true;
        }
        if ahead && path.contains("/by-phone/") && kept.status == 200 {
            let customer = serde_json::from_str::<Value>(&kept.body)
                .ok()
                .and_then(|v| v.get("customer_id").and_then(Value::as_str).map(str::to_owned));
            if let Some(customer) = customer {
                let path = widened(&format!("/api/customers/{}/transactions", segment(&customer)));
                self.fetch_ahead(cx, path);
            }
        }
        cx.put(Op::PutCached(CachedRow {
            shop: self.id.clone(),
            key: cache_key(&path),
            status: kept.status,
            body: kept.body,
            wall: kept.wall,
            wall_sure: kept.wall_sure,
            mono: kept.mono,
            boot: kept.boot,
        }));
    }

    pub(super) fn dealer_event(&mut self, cx: &mut Cx<'_>, event: DealerEvent) {
        match event {
            DealerEvent::Fetched { id, result, .. } => self.fetched(cx, id, result),
            DealerEvent::Placed { order, result, .. } => {
                self.order_input(cx, &order, OrderInput::Placed(result));
            }
            DealerEvent::LookedUp { order, result, .. } => {
                self.order_input(cx, &order, OrderInput::LookedUp(result));
            }
            DealerEvent::Probed { capabilities, customers, reached, .. } => {
                self.dealer_answered(cx, reached);
                self.dealer.asked |= reached;
                if capabilities.is_some() {
                    self.dealer.probed = capabilities;
                }
                self.dealer.customers.extend(customers);
                if self.dealer.prefetch_due.is_none_or(|due| due <= cx.now.mono) && reached {
                    self.prefetch_all(cx);
                }
            }
        }
    }

    /// The dealer was reached, or was not: what customers are told, and when orders are tried, follows.
    pub(super) fn dealer_answered(&mut self, cx: &mut Cx<'_>, reached: bool) {
        self.dealer.heard = Some(cx.now.mono);
        if self.dealer.reachable == reached {
            return;
        }
        self.dealer.reachable = reached;
        let how = if reached { "answers again" } else { "does not answer" };
        cx.alarm(format!("shop {}: the dealer's API {how}", self.id));
        if reached {
            self.orders_now(cx);
        }
    }

    fn fetched(&mut self, cx: &mut Cx<'_>, id: u64, result: FetchResult) {
        let Some(fetch) = self.fetches.get_mut(&id) else { return };
        let Some(lookup) = fetch.lookup.as_mut() else {
            // Somebody else's address: answered as it comes.
            if let Some((sid, http)) = self.fetches.remove(&id).and_then(|f| f.run) {
                let answer = match result {
                    FetchResult::Answered { status, content_type, body } => {
                        HttpAnswer::Answered { status, content_type, body, age: None, stale: false }
                    }
                    FetchResult::Nonsense { why } | FetchResult::Unreachable { why } => {
                        HttpAnswer::Failed { why }
                    }
                };
                cx.inputs.push_back((sid, Input::HttpDone(http, answer)));
            }
            return;
        };
        let reached = matches!(result, FetchResult::Answered { .. });
        let fetched = match result {
            FetchResult::Answered { status, body, .. } => Fetched::Answered { status, body },
            FetchResult::Nonsense { why } | FetchResult::Unreachable { why } => Fetched::Unusable { why },
        };
        let actions = lookup.handle_fetched(fetched, cx.now);
        self.dealer_answered(cx, reached);
        self.lookup_actions(cx, id, actions);
    }

    /// What the dealer supports: the owner's word, else the dealer's own, else what his answers showed.
    pub(super) fn capabilities(&self) -> Capabilities {
        let said = |key: &str| match self.settings.text(key) {
            "yes" => Support::Yes,
            "no" => Support::No,
            _ => Support::Auto,
        };
        Capabilities::merged(
            said("dealer.idempotency_key"),
            said("dealer.client_reference"),
            self.dealer.probed,
            // Until he was asked, look: a look-up sends nothing, and says itself when nothing can be learnt.
            self.dealer.references_seen || !self.dealer.asked,
        )
    }

    /// A customer writes: whether the dealer is there should be known before they order something. Asks for their
    /// profile, which may be fresh already, when nothing was heard of him for a moment.
    pub(super) fn ask_how_he_is(&mut self, cx: &mut Cx<'_>, person: &str) {
        let heard = self.dealer.heard.is_some_and(|at| cx.now.mono.since(at) < HEARD_OF);
        if self.setup.dealer.is_none() || heard || self.stopping {
            return;
        }
        self.dealer.heard = Some(cx.now.mono);
        let path = widened(&format!("/api/customers/by-phone/{}", segment(person)));
        let (lookup, actions) = Lookup::start(None, cx.now, cx.boot, &self.cache_policy(&path));
        let id = self.add_fetch(Fetch { run: None, lookup: Some(lookup), path, ahead: false });
        self.lookup_actions(cx, id, actions);
    }

    /// Every little while: ask a dealer who is away how he is; when it is time, fetch all known customers anew.
    pub(super) fn prefetch(&mut self, cx: &mut Cx<'_>) {
        if self.setup.dealer.is_none() {
            return;
        }
        let every = self.settings.seconds("dealer.probe_every").max(Duration::from_millis(100));
        cx.timers.set(TimerKey::Prefetch(self.id.clone()), cx.now.mono + every);
        let due = self.dealer.prefetch_due.is_none_or(|due| due <= cx.now.mono);
        if due || !self.dealer.reachable {
            cx.after(Effect::Dealer(DealerCommand::Probe { shop: self.id.clone() }));
        }
    }

    fn prefetch_all(&mut self, cx: &mut Cx<'_>) {
        let every = self.settings.seconds("dealer.prefetch_every").max(Duration::from_secs(1));
        self.dealer.prefetch_due = Some(cx.now.mono + every);
        let mut known: std::collections::BTreeSet<String> = self.dealer.customers.clone();
        known.extend(self.settings.phones("customers").iter().map(ToString::to_string));
        known.extend(self.people.keys().filter(|p| p.starts_with('+')).cloned());
        self.dealer.prefetching = known.into_iter().collect();
        for _ in 0..PREFETCH_AT_ONCE {
            self.prefetch_next(cx);
        }
    }

    fn prefetch_next(&mut self, cx: &mut Cx<'_>) {
        if !self.dealer.reachable {
            self.dealer.prefetching.clear();
            self.dealer.prefetch_due = None;
            return;
        }
        if let Some(phone) = self.dealer.prefetching.pop_front() {
            let path = widened(&format!("/api/customers/by-phone/{}", segment(&phone)));
            self.fetch_ahead(cx, path);
        }
    }

    fn fetch_ahead(&mut self, cx: &mut Cx<'_>, path: String) {
        let profile = path.contains("/by-phone/");
        let (lookup, actions) = Lookup::start(None, cx.now, cx.boot, &self.cache_policy(&path));
        let id = self.add_fetch(Fetch { run: None, lookup: Some(lookup), path, ahead: profile });
        self.lookup_actions(cx, id, actions);
    }

    /// An order changed what the customer's transactions say.
    pub(super) fn forget_transactions(&mut self, cx: &mut Cx<'_>, customer: &str) {
        let path = widened(&format!("/api/customers/{}/transactions", segment(customer)));
        self.fetch_ahead(cx, path);
    }
}

fn http_answer(answer: Answer) -> HttpAnswer {
    match answer {
        Answer::Served { status, body, age, stale } => {
            HttpAnswer::Answered { status, content_type: "application/json".to_owned(), body, age, stale }
        }
        Answer::Nothing { why } => HttpAnswer::Failed { why },
    }
}
