//! A text that is in: consent words first, then the staff's relay, then the conversation.

use super::Cx;
use super::consent::Why;
use super::inbound::Text;
use super::shop::Shop;
use super::timers::TimerKey;
use crate::messaging::keywords::Request;
use crate::messaging::{Mode, StaffText, Turn, help_text, parse_staff_text, staff_help};
use crate::store::Source;
use crate::types::{Address, Mono};

impl Shop {
    /// A whole text arrived. It is stored in any case; the rest is who answers.
    pub(super) fn text_in(&mut self, cx: &mut Cx<'_>, text: Text) {
        let person = text.from.as_str().to_owned();
        let automatic = match &text.from {
            Address::Phone(number) => self.lines.values().any(|l| l.number.as_ref() == Some(number)),
            // Senders with a name cannot be answered, short codes are machines.
            Address::Short(_) | Address::Alpha(_) => true,
        };
        if automatic || text.note.as_ref().is_some_and(|n| n.starts_with("data for a program")) {
            let note =
                text.note.clone().unwrap_or_else(|| "an automatic sender: stored and not answered".into());
            self.store_text(cx, &text, Some(note));
            return;
        }
        let line = text.line.clone();
        self.talk(cx, &person).state.line = Some(line);
        cx.dirty_people.insert(person.clone());
        let blocked = self.is_blocked(&person);
        let anywhere = self.standing(&person).is_some_and(|s| s.blocked_scopes().next().is_some());
        // Before anything else, pace and loops included.
        let request = self.request_of(&text, &person);
        if matches!(request, Request::Stop | Request::Start) && self.consent.knows(&text.id) {
            return self.count("texts_told_again");
        }
        match request {
            Request::Stop => self.stop(cx, &text, &person),
            Request::Start if blocked && self.consent.is_outdated(&text, &person) => {
                self.store_text(cx, &text, Some("older than their STOP: stored and not answered".into()));
                self.count("starts_before_a_stop");
            }
            Request::Start if anywhere => self.start(cx, &text, &person),
            _ if blocked => {
                self.store_text(cx, &text, Some("this person said STOP: stored and not answered".into()));
            }
            Request::Help => {
                self.store_text(cx, &text, text.note.clone());
                if !self.upstream_answers(&text) {
                    let answer = help_text(self.settings.text("shop.name"), &self.shop_phone());
                    self.say(cx, &person, answer, Why::reply(Source::Box));
                }
            }
            _ if let Some(why) = self.heard_a_robot(cx, &text) => {
                // What a robot says over and over is told to staff once.
                let paused = self.standing(&person).is_some_and(|s| s.paused().is_some());
                if matches!(request, Request::Free(_)) && !paused {
                    self.perhaps_stop(cx, &text, &person);
                }
                self.store_text(cx, &text, Some(why));
            }
            Request::Menu | Request::Start => {
                self.store_text(cx, &text, text.note.clone());
                if request == Request::Start {
                    self.enter_start(cx, &text, &person);
                }
                self.people_ended(cx, &person, "went back to the menu");
                self.stop_all(cx, &person, "the person asked for the menu");
                let parameters = self.webhook(&text);
                self.take(cx, &person, Turn::StartMain(parameters));
            }
            Request::Choice | Request::Free(_) | Request::Nothing
                if self.is_staff(&person)
                    && (self.staff_on_consent(cx, &text) || self.staff_text(cx, &text)) => {}
            Request::Free(_) => {
                self.perhaps_stop(cx, &text, &person);
                self.hear(cx, &text, &person);
            }
            Request::Choice | Request::Nothing => self.hear(cx, &text, &person),
        }
    }

    fn hear(&mut self, cx: &mut Cx<'_>, text: &Text, person: &str) {
        self.ask_how_he_is(cx, person);
        let widget = self.widget_in_front(person);
        let parameters = self.webhook(text);
        let turn = self.talk(cx, person).state.hear(&text.body, parameters, widget.as_deref());
        let note = match turn {
            Turn::Repeat => {
                Some("not used: it repeats the last answer and came before the next question".into())
            }
            _ => text.note.clone(),
        };
        self.store_text(cx, text, note);
        if turn == Turn::Relay {
            self.relay_to_staff(cx, person, &text.body);
            self.say_closed(cx, person);
        }
        if matches!(turn, Turn::StartMain(_)) && self.settings.switch("hours.reply_menu") {
            self.say_closed(cx, person);
        }
        self.take(cx, person, turn);
    }

    pub(super) fn is_staff(&self, person: &str) -> bool {
        self.settings.phones("staff").iter().any(|n| n.as_str() == person)
    }

    pub(super) fn staff(&self) -> Vec<String> {
        self.settings.phones("staff").iter().map(ToString::to_string).collect()
    }

    /// Customers who are with people now: ticket and number, the one who wrote last in front.
    fn open_relays(&self) -> Vec<(u32, String)> {
        let mut open: Vec<(Mono, u32, String)> = self
            .people
            .iter()
            .filter_map(|(person, talk)| match talk.state.mode {
                Mode::People { last } => Some((last, talk.ticket, person.clone())),
                Mode::Flow => None,
            })
            .collect();
        open.sort_by(|a, b| b.cmp(a));
        open.into_iter().map(|(_, ticket, person)| (ticket, person)).collect()
    }

    /// A text from staff. False when it is none of the relay's business: staff may try the menus like anybody.
    fn staff_text(&mut self, cx: &mut Cx<'_>, text: &Text) -> bool {
        let staff = text.from.as_str().to_owned();
        // Who tries the shop's own service is not answering himself.
        let mut open = self.open_relays();
        open.retain(|(_, person)| *person != staff);
        let parsed = parse_staff_text(&text.body);
        let find = |ticket: u32| open.iter().find(|(t, _)| *t == ticket).map(|(_, person)| person.clone());
        let only = || (open.len() == 1).then(|| open[0].1.clone());
        let (target, words) = match (&parsed, open.is_empty()) {
            (StaffText::Bare(_) | StaffText::DoneOnly, true) => return false,
            (StaffText::Answer { ticket, words }, _) => (find(*ticket), Some(words.clone())),
            (StaffText::Done { ticket }, _) => (find(*ticket), None),
            (StaffText::DoneOnly, false) => (only(), None),
            (StaffText::Bare(words), false) => (only(), Some(words.clone())),
        };
        self.store_text(cx, text, Some("from staff".into()));
        match (target, words) {
            (None, _) => self.say(cx, &staff, staff_help(&open), Source::Box),
            (Some(person), Some(words)) => {
                self.relay_heard(cx, &person);
                self.closed_known(cx, &person);
                self.say(cx, &person, words.clone(), Source::Staff);
                let ticket = self.people.get(&person).map_or(0, |t| t.ticket);
                for other in self.staff().into_iter().filter(|s| *s != staff) {
                    self.say(cx, &other, format!("#{ticket} was answered: {words}"), Source::Box);
                }
            }
            (Some(person), None) => {
                self.people_ended(cx, &person, "was closed");
                self.stop_all(cx, &person, "staff closed it");
                cx.touched.insert(person);
            }
        }
        true
    }

    fn relay_heard(&mut self, cx: &mut Cx<'_>, person: &str) {
        if let Some(talk) = self.people.get_mut(person) {
            talk.state.mode = Mode::People { last: cx.now.mono };
        }
        cx.dirty_people.insert(person.to_owned());
        let idle = cx.now.mono + self.settings.seconds("relay.idle");
        cx.timers.set(TimerKey::Relay(self.id.clone(), person.to_owned()), idle);
    }

    /// A customer asked for people: the staff hear of it.
    pub(super) fn people_began(&mut self, cx: &mut Cx<'_>, person: &str, note: &str) {
        self.relay_heard(cx, person);
        let staff = self.staff();
        let ticket = self.people.get(person).map_or(0, |t| t.ticket);
        if staff.is_empty() {
            cx.alarm(format!(
                "shop {}: customer #{ticket} asks for people, and no staff numbers are set",
                self.id
            ));
        }
        let about = if note.trim().is_empty() {
            String::new()
        } else {
            format!(" ({})", note.trim().trim_end_matches('.'))
        };
        for number in staff {
            let body = format!(
                "#{ticket} {person} would like to text with you{about}. Begin answers with #{ticket}; #{ticket} DONE ends it."
            );
            self.say(cx, &number, body, Source::Box);
        }
        self.say_closed(cx, person);
    }

    fn relay_to_staff(&mut self, cx: &mut Cx<'_>, person: &str, body: &str) {
        self.relay_heard(cx, person);
        let ticket = self.people.get(person).map_or(0, |t| t.ticket);
        for number in self.staff() {
            self.say(cx, &number, format!("#{ticket} {person}: {body}"), Source::Box);
        }
    }

    /// If people had the conversation, tell them that they have it no more.
    pub(super) fn people_ended(&mut self, cx: &mut Cx<'_>, person: &str, why: &str) {
        let Some(talk) = self.people.get(person) else { return };
        if !matches!(talk.state.mode, Mode::People { .. }) {
            return;
        }
        let ticket = talk.ticket;
        for number in self.staff() {
            self.say(cx, &number, format!("#{ticket} {person} {why}."), Source::Box);
        }
    }

    /// Nobody wrote for long: the flows take over again.
    pub(super) fn relay_idle(&mut self, cx: &mut Cx<'_>, person: &str) {
        self.people_ended(cx, person, "was silent for long and is closed");
        self.stop_all(cx, person, "the hand-over was silent for long");
        cx.touched.insert(person.to_owned());
    }

    /// Tells every member of staff.
    pub(super) fn tell_staff(&mut self, cx: &mut Cx<'_>, body: &str) {
        for number in self.staff() {
            self.say(cx, &number, body.to_owned(), Source::Box);
        }
    }
}
