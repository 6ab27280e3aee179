//! What people and programs ask for through the control socket: texts to send, doubts to settle, settings to
//! change. Answered after the commit.

use serde_json::{Map, Value, json};

use super::collisions::collisions;
use super::consent_commands::ConsentAsk;
use super::events::EventsWanted;
use super::offers::places_wrong;
use super::script::Script;
use super::send_command::{Enclosure, Wish};
use super::shop::Shop;
use super::{Core, Cx, Effect, Step};
use crate::config::settings;
use crate::messaging::ledger::Purpose;
use crate::store::{AuditRow, FlowRow, Op, SettingRow};
use crate::types::{CallId, EventId, LineEvent, LineId, MessageId, Now, OrderId, ShopId, Wall};

/// What the audit log says of a voicemail that the staff were told of.
pub(in crate::daemon) const VOICEMAIL: &str = "voicemail";

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Text somebody.
    Send {
        /// By which shop.
        shop: ShopId,
        /// Whom, as people write numbers.
        to: String,
        /// What.
        body: String,
    },
    /// Text somebody for a purpose: consent is asked by it.
    SendFor {
        /// By which shop.
        shop: ShopId,
        /// Whom, as people write numbers; `whatsapp:` before it asks for that channel.
        to: String,
        /// What.
        body: String,
        /// What for. What reaches blocked people needs `why`, and is in the audit log.
        purpose: Purpose,
        /// Which law, which emergency.
        why: String,
        /// Who.
        by: String,
        /// Files, or a template in place of words.
        with: Box<Enclosure>,
    },
    /// What people said about being texted.
    Consent {
        /// Whose.
        shop: ShopId,
        /// What is to be entered.
        ask: ConsentAsk,
        /// Who.
        by: String,
    },
    /// Send a text in doubt once more.
    Resend {
        /// Whose.
        shop: ShopId,
        /// Which.
        message: MessageId,
    },
    /// Send an order in doubt once more.
    ResendOrder {
        /// Whose.
        shop: ShopId,
        /// Which.
        order: OrderId,
    },
    /// Change settings: all or none. `Null` brings a default back.
    Set {
        /// Whose.
        shop: ShopId,
        /// Key and value.
        values: Map<String, Value>,
        /// Who.
        by: String,
    },
    /// End a call.
    HangUp {
        /// Whose.
        shop: ShopId,
        /// Which.
        call: CallId,
    },
    /// Store a revision of a flow.
    PutFlow {
        /// Whose.
        shop: ShopId,
        /// Which.
        flow: NewFlow,
    },
    /// Tell the staff of a voicemail that was fetched from a line's upstream.
    Voicemail {
        /// Whose.
        shop: ShopId,
        /// By which line.
        line: LineId,
        /// What they are told.
        body: String,
        /// For the audit log.
        detail: Value,
    },
    /// What an upstream's webhook says of a line. Answered with `{"new": …}` once it is durable: false when it
    /// changed nothing, because it was known.
    Upstream {
        /// Which.
        line: LineId,
        /// What the line's edge would say.
        event: Box<LineEvent>,
    },
    /// Deliver one of the box's own events once more, also one that was delivered.
    ReplayEvent {
        /// Whose.
        shop: ShopId,
        /// EV…
        event: String,
    },
    /// Deliver what was given up once more: the newest 1000.
    ReplayDead {
        /// Whose.
        shop: ShopId,
        /// Not what happened before.
        since: Option<Wall>,
    },
    /// Send a `test.ping` to an endpoint and say what came back.
    TestEndpoint {
        /// Whose.
        shop: ShopId,
        /// As the configuration names it.
        endpoint: String,
    },
    /// How things stand.
    Status,
}

/// A revision of a flow that is to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFlow {
    /// Friendly name.
    pub name: String,
    /// FW…
    pub sid: String,
    /// Its number, one above the newest; or the newest, to publish it.
    pub revision: u32,
    /// Studio JSON.
    pub definition: String,
    /// New conversations run it from now on.
    pub publish: bool,
    /// Who.
    pub by: String,
}

impl Core {
    pub(super) fn command(&mut self, id: EventId, reply: u64, command: Command, now: Now, step: &mut Step) {
        let shop = match &command {
            Command::Send { shop, .. }
            | Command::SendFor { shop, .. }
            | Command::Consent { shop, .. }
            | Command::Resend { shop, .. }
            | Command::ResendOrder { shop, .. }
            | Command::HangUp { shop, .. }
            | Command::PutFlow { shop, .. }
            | Command::Voicemail { shop, .. }
            | Command::ReplayEvent { shop, .. }
            | Command::ReplayDead { shop, .. }
            | Command::TestEndpoint { shop, .. }
            | Command::Set { shop, .. } => shop.clone(),
            Command::Upstream { line, .. } => match self.line_shop.get(line) {
                Some(shop) => shop.clone(),
                None => {
                    step.live.push(Effect::Reply(reply, Err(format!("line {line} belongs to no shop"))));
                    return;
                }
            },
            Command::Status => {
                let status = self.status(now.mono);
                step.live.push(Effect::Reply(reply, Ok(status)));
                return;
            }
        };
        if !self.shops.contains_key(&shop) {
            step.live.push(Effect::Reply(reply, Err(format!("there is no shop {shop}"))));
            return;
        }
        self.with_shop(&shop, id, now, step, |s, cx| {
            let wanted = |wanted| Effect::ReadEvents { shop: shop.clone(), wanted };
            let answer = match command {
                Command::Send { to, body, .. } => {
                    let (purpose, with) = (Purpose::Informational, Enclosure::default());
                    let (why, by) = (String::new(), String::new());
                    s.send_command(cx, Wish { to, body, purpose, why, by, with })
                }
                Command::SendFor { to, body, purpose, why, by, with, .. } => {
                    s.send_command(cx, Wish { to, body, purpose, why, by, with: *with })
                }
                Command::Consent { ask, by, .. } => s.consent_command(cx, ask, &by),
                Command::Resend { message, .. } => s.resend(cx, &message),
                Command::ResendOrder { order, .. } => s.resend_order(cx, &order),
                Command::Set { values, by, .. } => s.set_command(cx, &values, &by),
                Command::HangUp { call, .. } => s.hang_up(cx, call),
                Command::PutFlow { flow, .. } => s.put_flow(cx, flow),
                Command::Voicemail { line, body, detail, .. } => Ok(s.voicemail(cx, &line, &body, detail)),
                Command::Upstream { line, event } => Ok(s.upstream_says(cx, &line, *event)),
                // These are answered when they have been read, or were tried.
                Command::ReplayEvent { event, .. } => {
                    return cx.after(wanted(EventsWanted::One { id: event, reply }));
                }
                Command::ReplayDead { since, .. } => {
                    return cx.after(wanted(EventsWanted::Dead { since, reply }));
                }
                Command::TestEndpoint { endpoint, .. } => match s.test_endpoint(cx, reply, &endpoint) {
                    Ok(()) => return,
                    Err(why) => Err(why),
                },
                Command::Status => Ok(Value::Null),
            };
            cx.after(Effect::Reply(reply, answer));
        });
    }
}

impl Shop {
    fn put_flow(&mut self, cx: &mut Cx<'_>, flow: NewFlow) -> Result<Value, String> {
        let newest = self.newest_revision(&flow.name);
        // Of the newest one nothing but its publication can change.
        let again = flow.revision == newest && flow.publish;
        if flow.revision <= newest && !again {
            return Err(format!("there is revision {newest} of {} already", flow.name));
        }
        let script = Script::new(&flow.name, &flow.definition)?;
        let warnings = collisions(script.definition().map_err(str::to_owned)?);
        let row = FlowRow {
            shop: self.id.clone(),
            name: flow.name,
            sid: flow.sid,
            revision: flow.revision,
            definition: flow.definition,
            published: flow.publish,
            by: flow.by,
            wall: cx.now.wall,
        };
        self.add_definition(cx, &row);
        let answer = json!({ "name": row.name, "revision": row.revision, "warnings": warnings });
        cx.put(Op::AddAudit(AuditRow {
            shop: self.id.clone(),
            who: row.by.clone(),
            what: "flow".to_owned(),
            detail: json!({ "name": row.name, "revision": row.revision, "published": row.published }),
            wall: cx.now.wall,
        }));
        cx.put(Op::PutFlow(row));
        Ok(answer)
    }

    /// The audit row is what says, after a crash, that the staff were told: both are in one transaction.
    fn voicemail(&mut self, cx: &mut Cx<'_>, line: &LineId, body: &str, detail: Value) -> Value {
        cx.put(Op::AddAudit(AuditRow {
            shop: self.id.clone(),
            who: format!("line {line}"),
            what: VOICEMAIL.to_owned(),
            detail,
            wall: cx.now.wall,
        }));
        if self.settings.phones("staff").is_empty() {
            cx.alarm(format!("shop {}: a voicemail is there, and no staff numbers are set", self.id));
        }
        self.tell_staff(cx, body);
        Value::Null
    }

    /// What is new changes something that is stored.
    fn upstream_says(&mut self, cx: &mut Cx<'_>, line: &LineId, event: LineEvent) -> Value {
        let before = cx.step.transaction.ops.len();
        self.line_event(cx, line, event);
        json!({ "new": cx.step.transaction.ops.len() > before })
    }

    fn set_command(
        &mut self,
        cx: &mut Cx<'_>,
        values: &Map<String, Value>,
        by: &str,
    ) -> Result<Value, String> {
        let mut errors = Vec::new();
        let mut next = self.settings.clone();
        for (key, value) in values {
            if self.setup.fixed.contains_key(key) {
                errors.push(format!("`{key}` is fixed in the configuration file"));
            } else if let Err(error) = next.set(key, value) {
                errors.push(error.to_string());
            } else if key.starts_with("flows.") && !self.flows.contains_key(next.text(key)) {
                let names: Vec<&str> = self.flows.keys().map(String::as_str).collect();
                errors.push(format!("`{key}` names no published flow; there are {}", names.join(", ")));
            } else if key == "marketing.places" {
                errors.extend(places_wrong(next.get(key)));
            }
        }
        let plan = self.setup.calls.as_ref().map(|ground| ground.plan(&next)).transpose();
        // A plan that was wrong before is no reason to refuse what does not touch it.
        let touched = values.keys().any(|key| key.starts_with("calls.") || key.starts_with("shop."));
        let plan = plan.unwrap_or_else(|problems| {
            errors.extend(problems.into_iter().filter(|_| touched));
            None
        });
        if !errors.is_empty() {
            return Err(errors.join("\n"));
        }
        for (key, value) in values {
            let stored = if value.is_null() { Value::Null } else { next.get(key).clone() };
            cx.put(Op::PutSetting(SettingRow {
                shop: self.id.clone(),
                key: settings::find(key).map_or_else(|_| key.clone(), |s| s.key.to_owned()),
                value: stored,
                by: by.to_owned(),
                wall: cx.now.wall,
            }));
        }
        self.settings = next;
        self.rates.set_limits(super::pace::limits(&self.settings));
        if let Some(plan) = plan.filter(|_| touched) {
            self.plan_changed(plan);
        }
        self.call_clock(cx);
        self.look_at_offers(cx);
        Ok(json!({ "changed": values.len() }))
    }
}
