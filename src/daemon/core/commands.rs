//! What people and programs ask for through the control socket: texts to send, doubts to settle, settings to
//! change. Answered after the commit.

use serde_json::{Map, Value, json};

use super::consent::Why;
use super::consent_commands::ConsentAsk;
use super::offers::places_wrong;
use super::shop::Shop;
use super::{Core, Cx, Effect, Step};
use crate::config::settings;
use crate::messaging::ledger::{Exempt, Purpose};
use crate::store::{Op, SettingRow, Source};
use crate::types::{CallId, EventId, MessageId, Now, OrderId, PhoneNumber, ShopId, Wall};

/// As Twilio has it (error 21617). Characters.
const LONGEST: usize = 1600;

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
        /// Whom, as people write numbers.
        to: String,
        /// What.
        body: String,
        /// What for. What reaches blocked people needs `why`, and is in the audit log.
        purpose: Purpose,
        /// Which law, which emergency.
        why: String,
        /// Who.
        by: String,
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
    /// How things stand.
    Status,
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
            | Command::Set { shop, .. } => shop.clone(),
            Command::Status => {
                let status = self.status();
                step.live.push(Effect::Reply(reply, Ok(status)));
                return;
            }
        };
        if !self.shops.contains_key(&shop) {
            step.live.push(Effect::Reply(reply, Err(format!("there is no shop {shop}"))));
            return;
        }
        self.with_shop(&shop, id, now, step, |s, cx| {
            let answer = match command {
                Command::Send { to, body, .. } => {
                    s.send_command(cx, &to, body, Purpose::Informational, "", "")
                }
                Command::SendFor { to, body, purpose, why, by, .. } => {
                    s.send_command(cx, &to, body, purpose, &why, &by)
                }
                Command::Consent { ask, by, .. } => s.consent_command(cx, ask, &by),
                Command::Resend { message, .. } => s.resend(cx, &message),
                Command::ResendOrder { order, .. } => s.resend_order(cx, &order),
                Command::Set { values, by, .. } => s.set_command(cx, &values, &by),
                Command::HangUp { call, .. } => s.hang_up(cx, call),
                Command::Status => Ok(Value::Null),
            };
            cx.after(Effect::Reply(reply, answer));
        });
    }
}

impl Shop {
    fn send_command(
        &mut self,
        cx: &mut Cx<'_>,
        to: &str,
        body: String,
        purpose: Purpose,
        why: &str,
        by: &str,
    ) -> Result<Value, String> {
        let country = self.settings.text("shop.calling_code").to_owned();
        let to = PhoneNumber::parse(to, Some(&country)).map_err(|e| e.to_string())?;
        if body.trim().is_empty() {
            return Err("the text is empty".to_owned());
        }
        match purpose {
            Purpose::Exempt(Exempt::Confirmation) => {
                return Err("only the box confirms STOP and START".to_owned());
            }
            Purpose::Exempt(Exempt::Emergency | Exempt::Law) if why.trim().is_empty() => {
                return Err("what reaches people who said STOP needs its reason: which emergency, which law"
                    .to_owned());
            }
            Purpose::Exempt(_) | Purpose::Reply | Purpose::Informational | Purpose::Marketing => {}
        }
        if let Some(why) = self.refused_to(cx.now, to.as_str(), purpose) {
            return Err(why);
        }
        let characters = body.chars().count();
        if characters > LONGEST {
            return Err(format!("the text has {characters} characters; {LONGEST} is the most"));
        }
        let id = cx.message_id();
        self.send_text(cx, id.clone(), to.as_str(), body, Why { source: Source::Program, purpose }, None);
        let Some(out) = self.outgoing.get(&id) else {
            return Err("it cannot be sent: the shop has no line".to_owned());
        };
        if matches!(purpose, Purpose::Exempt(_)) {
            self.audit_exempt(cx, &out.row, by, why);
        }
        let waits = out.row.not_before.and(out.row.note.as_ref());
        Ok(json!({ "id": id, "waits": waits, "not_before": out.row.not_before.map(Wall::rfc3339) }))
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
