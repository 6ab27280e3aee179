//! What a line that brings texts whole reports: texts, perhaps more than once and by several ways, the cursor up to
//! which everything is in, and files of texts. A text's id at the upstream is its only key.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Map, Value};

use super::inbound::Text;
use super::shop::Shop;
use super::timers::TimerKey;
use super::{Cx, Effect};
use crate::store::{CursorRow, MediaRow, MediaState, Op, SIDS_KEPT, Snapshot};
use crate::types::{
    Address, Channel, LineCommand, LineId, MediaResult, MessageId, PhoneNumber, UpstreamText, Wall,
    derive_sid,
};

/// A file that cannot be had for this long is given up.
const MEDIA_GIVEN_UP: Duration = Duration::from_secs(86_400);

/// First and longest pause between two tries of a file.
const MEDIA_PAUSES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(600));

/// An answer that never came: the edge has died.
const FETCH_LOST: Duration = Duration::from_secs(600);

/// Files that are fetched at the same time.
const FETCHES: usize = 4;

/// The ids at upstreams of this shop's texts that may be told again, and when each was last of use.
#[derive(Debug, Default)]
pub(super) struct Sids {
    known: HashMap<String, Wall>,
}

impl Sids {
    pub(super) fn has(&self, sid: &str) -> bool {
        self.known.contains_key(sid)
    }

    pub(super) fn note(&mut self, sid: String, at: Wall) {
        self.known.insert(sid, at);
    }

    /// Forgets what no line asks for any more.
    fn prune(&mut self, before: Wall) {
        self.known.retain(|_, at| *at >= before);
    }
}

/// A file that is still to be fetched.
#[derive(Debug)]
pub(super) struct Wanted {
    row: MediaRow,
    fetching: bool,
    failures: u32,
}

/// The files that are still to be fetched, by text and number.
pub(super) type WantedMedia = BTreeMap<(MessageId, u8), Wanted>;

impl Shop {
    pub(super) fn load_upstream(&mut self, cx: &mut Cx<'_>, snapshot: &Snapshot) {
        let shop = self.id.clone();
        for row in snapshot.cursors.iter().filter(|r| r.shop == shop) {
            if let Some(line) = self.lines.get_mut(&row.line) {
                line.cursor = Some(row.at);
            }
        }
        let newest = self.newest_cursor().map_or(cx.now.wall, |cursor| cursor.max(cx.now.wall));
        for (_, sid) in snapshot.sids.iter().filter(|(s, _)| *s == shop) {
            self.sids.note(sid.clone(), newest);
        }
        for line in self.lines.values().filter(|l| l.takes_whole()) {
            let resume = LineCommand::Resume(line.cursor);
            cx.step.after.push(Effect::Line(line.setup.id.clone(), resume));
        }
        for row in snapshot.media_wanted.iter().filter(|r| r.shop == shop) {
            self.want_media(cx, row.clone());
        }
    }

    fn newest_cursor(&self) -> Option<Wall> {
        self.lines.values().filter_map(|l| l.cursor).max()
    }

    /// A text is at an upstream.
    pub(super) fn upstream_text(&mut self, cx: &mut Cx<'_>, line: &LineId, told: UpstreamText) {
        if self.sids.has(&told.sid) {
            self.count("texts_told_again");
            return;
        }
        let at = self.newest_cursor().map_or(cx.now.wall, |cursor| cursor.max(cx.now.wall));
        self.sids.note(told.sid.clone(), at);
        let id = MessageId(derive_sid("SM", &[self.id.as_str(), &told.sid]));
        let from = address(&told.from);
        if told.channel == Channel::WhatsApp && matches!(from, Address::Phone(_)) {
            // The window is open from when they wrote, not from when the box heard of it.
            let wrote = told.sent.map_or(cx.now.wall, |sent| sent.min(cx.now.wall));
            let state = &mut self.talk(cx, from.as_str()).state;
            state.whatsapp = state.whatsapp.max(Some(wrote));
            cx.dirty_people.insert(from.as_str().to_owned());
        }
        let media = told.media.clone();
        let text = Text {
            id: id.clone(),
            line: line.clone(),
            from,
            body: told.body.clone(),
            sent_at: told.sent,
            note: None,
            upstream: Some(Box::new(told)),
        };
        self.text_in(cx, text);
        for (number, link) in (1u8..).zip(media) {
            let row = MediaRow {
                shop: self.id.clone(),
                message: id.clone(),
                number,
                line: line.clone(),
                url: link.url,
                content_type: link.content_type,
                state: MediaState::Wanted,
                note: None,
                bytes: None,
                updated: cx.now.wall,
            };
            cx.put(Op::PutMedia(row.clone()));
            self.want_media(cx, row);
        }
    }

    /// Everything at the upstream up to then is in.
    pub(super) fn upstream_cursor(&mut self, cx: &mut Cx<'_>, id: &LineId, at: Wall) {
        let Some(line) = self.lines.get_mut(id) else { return };
        if line.cursor.is_some_and(|known| at <= known) {
            return;
        }
        line.cursor = Some(at);
        cx.put(Op::PutCursor(CursorRow { shop: self.id.clone(), line: id.clone(), at }));
        // What any line may still tell again stays.
        let cursors = self.lines.values().filter(|l| l.takes_whole()).map(|l| l.cursor);
        if let Some(oldest) = cursors.min().flatten() {
            let kept = i64::try_from(SIDS_KEPT.as_millis()).unwrap_or(i64::MAX);
            self.sids.prune(Wall(oldest.0.saturating_sub(kept)));
        }
    }

    fn want_media(&mut self, cx: &mut Cx<'_>, row: MediaRow) {
        let key = (row.message.clone(), row.number);
        self.media.insert(key, Wanted { row, fetching: false, failures: 0 });
        self.fetch_media(cx);
    }

    /// Fetches what is due, a few at a time.
    fn fetch_media(&mut self, cx: &mut Cx<'_>) {
        let mut room = FETCHES.saturating_sub(self.media.values().filter(|w| w.fetching).count());
        let keys: Vec<(MessageId, u8)> = self.media.keys().cloned().collect();
        for key in keys {
            let Some(wanted) = self.media.get_mut(&key).filter(|_| room > 0 && !self.stopping) else {
                return;
            };
            let timer = TimerKey::Media(self.id.clone(), key.0.clone(), key.1);
            if wanted.fetching || cx.timers.is_set(&timer) {
                continue;
            }
            room -= 1;
            wanted.fetching = true;
            let (message, number) = key;
            let fetch = LineCommand::Fetch { message, number, url: wanted.row.url.clone() };
            cx.timers.set(timer, cx.now.mono + FETCH_LOST);
            cx.after(Effect::Line(wanted.row.line.clone(), fetch));
        }
    }

    /// A file may be tried again, or its edge has died.
    pub(super) fn media_due(&mut self, cx: &mut Cx<'_>, message: &MessageId, number: u8) {
        if let Some(wanted) = self.media.get_mut(&(message.clone(), number)) {
            wanted.fetching = false;
        }
        self.fetch_media(cx);
    }

    /// What became of a file.
    pub(super) fn media_answered(
        &mut self,
        cx: &mut Cx<'_>,
        message: &MessageId,
        number: u8,
        result: MediaResult,
    ) {
        let key = (message.clone(), number);
        let timer = TimerKey::Media(self.id.clone(), message.clone(), number);
        let Some(mut wanted) = self.media.remove(&key) else { return self.count("answers_to_no_question") };
        cx.timers.cancel(&timer);
        let row = &mut wanted.row;
        let given_up = cx.now.wall_sure && cx.now.wall.since(row.updated) > MEDIA_GIVEN_UP;
        match result {
            MediaResult::Kept { content_type, bytes } => {
                row.state = MediaState::Kept;
                row.content_type = content_type;
                row.bytes = Some(bytes);
                row.note = None;
            }
            MediaResult::Gone { why } => {
                row.state = MediaState::Gone;
                row.note = Some(why);
            }
            MediaResult::Later { why } if given_up => {
                row.state = MediaState::Gone;
                row.note = Some(format!("given up after a day: {why}"));
            }
            MediaResult::Later { .. } => {
                let (first, most) = MEDIA_PAUSES;
                let pause = first.saturating_mul(1 << wanted.failures.min(16)).min(most);
                wanted.failures = wanted.failures.saturating_add(1);
                wanted.fetching = false;
                cx.timers.set(timer, cx.now.mono + pause);
                self.media.insert(key, wanted);
                return self.fetch_media(cx);
            }
        }
        row.updated = cx.now.wall;
        cx.put(Op::PutMedia(wanted.row));
        self.fetch_media(cx);
    }
}

/// A sender as the upstream names it.
fn address(from: &str) -> Address {
    match PhoneNumber::parse(from, None) {
        Ok(number) => Address::Phone(number),
        Err(_) if !from.is_empty() && from.bytes().all(|b| b.is_ascii_digit()) => {
            Address::Short(from.to_owned())
        }
        Err(_) => Address::Alpha(from.to_owned()),
    }
}

/// What the upstream said of a text beyond what every text has, as its webhook would.
pub(super) fn parameters(told: &UpstreamText) -> Map<String, Value> {
    let mut map = told.parameters.clone();
    for (at, link) in told.media.iter().enumerate() {
        map.insert(format!("MediaUrl{at}"), link.url.clone().into());
        map.insert(format!("MediaContentType{at}"), link.content_type.clone().into());
    }
    if told.channel == Channel::WhatsApp {
        map.insert("ChannelPrefix".to_owned(), told.channel.as_str().into());
    }
    map
}
