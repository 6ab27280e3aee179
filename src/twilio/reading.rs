//! What a line asks for, one request at a time: what came in, texts in doubt, and where texts that left stand. The three
//! take turns. A request that failed is made again after a pause; what the pauses come to for the line is in `line`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::ask::{Ask, Reply, Ticket};
use super::client::{Answer, ApiError, RequestError};
use super::line::{DAY, Line, Phase, Told, asked_pause};
use super::rest::{Listing, Message, MessagePage, address};
use super::sweep::{Reach, Sweep};
use super::track::{Tracks, Wanted};
use crate::types::{
    FoundPost, LineEvent, MediaLink, MessageId, Mono, Now, Post, PostsFound, UpstreamText, Wall,
};

/// A page of everyday polling, and of everything since long ago.
const PAGE: u16 = 100;
const LARGE_PAGE: u16 = 500;
/// While more comes in than a page holds for the overlap, most looks go back only so far before the last one, and the
/// whole overlap is looked at this often, or for a fifth of the time.
const NEAR: Duration = Duration::from_secs(20);
const OVERLAP_EVERY: Duration = Duration::from_secs(60);
const OVERLAP_SHARE: u32 = 4;
/// The first look at a whole day comes so long after the start: a box that is started every day has one too.
const FIRST_WHOLE_DAY: Duration = Duration::from_secs(600);
/// Texts to one person, newest first.
const FIND_PAGE: u16 = 50;
/// Pages that are read for a text in doubt, and for where many stand.
const FIND_PAGES: usize = 10;
const STATUS_PAGES: usize = 4;
/// How much earlier than it was handed over a text may be at the upstream: clocks differ.
const FIND_SLACK: Duration = Duration::from_secs(120);
const FIND_TRIES: u32 = 3;
/// What a trial account puts before every text, also in its lists.
const TRIAL: &str = "Sent from your Twilio trial account -";
const FINDS_MOST: usize = 4096;
/// A text whose files cannot be listed is told without them in the end.
const MEDIA_TRIES: u8 = 3;
/// Pauses after a failure, doubled up to the second.
const AGAIN: (Duration, Duration) = (Duration::from_millis(1500), Duration::from_secs(15));
/// And after a refusal for now, when the upstream does not say how long.
const CROWDED: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// A cursor that only the clock moved is told this often.
const CURSOR_EVERY: Duration = Duration::from_secs(300);

/// What the request under way is for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Reading {
    /// The upstream's clock, on the first day.
    Clock,
    /// A page of what came in.
    Page,
    /// The files of the text that is to be told next.
    Files(String),
    Find,
    One(String),
    Statuses,
}

struct Finding {
    message: MessageId,
    post: Box<Post>,
    since: Wall,
    next: Option<String>,
    pages: usize,
    tries: u32,
    found: Vec<FoundPost>,
}

/// A list of what was sent, read for where many stand.
struct Statuses {
    sids: BTreeSet<String>,
    oldest: Duration,
    next: Option<String>,
    pages: usize,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Reads {
    under_way: Option<(Ticket, Reading)>,
    not_before: Mono,
    /// Failures in a row.
    pub(super) failures: u32,
    turn: usize,
    pub(super) cursor: Option<Wall>,
    cursor_told: Mono,
    pub(super) next_poll: Mono,
    /// Neither a restart nor a line that comes and goes puts it off for ever.
    next_whole_day: Option<Mono>,
    /// One page does not hold what the overlap has.
    many: bool,
    next_overlap: Mono,
    /// When the look under way began, and when by the upstream's clock the last one did.
    began: Mono,
    looked: Option<Wall>,
    /// What came in before the line came up has not all been told.
    pub(super) unswept: bool,
    sweep: Option<Sweep>,
    told: Told,
    media_tries: BTreeMap<String, u8>,
    finds: VecDeque<Finding>,
    pub(super) tracks: Tracks,
    statuses: Option<Statuses>,
}

impl Reads {
    pub(super) fn is_under_way(&self, ticket: Ticket) -> bool {
        self.under_way.as_ref().is_some_and(|(under_way, _)| *under_way == ticket)
    }

    /// What came in is asked for by then at the latest.
    pub(super) fn sooner(&mut self, at: Mono) {
        self.next_poll = self.next_poll.min(at);
    }

    /// Drops what is being read; the request that is not wanted any more.
    pub(super) fn stop(&mut self) -> Option<Ticket> {
        (self.sweep, self.statuses) = (None, None);
        self.under_way.take().map(|(ticket, _)| ticket)
    }

    pub(super) fn drain_finds(&mut self) -> Vec<MessageId> {
        self.finds.drain(..).map(|finding| finding.message).collect()
    }
}

impl Line {
    pub(super) fn find(&mut self, message: MessageId, post: Box<Post>, since: Wall) {
        if self.takes_work() && self.reads.finds.len() < FINDS_MOST {
            let (next, pages, tries, found) = (None, 0, 0, Vec::new());
            self.reads.finds.push_back(Finding { message, post, since, next, pages, tries, found });
            return;
        }
        let why = "the line is down, or too many texts are looked for".to_owned();
        self.tell(LineEvent::Found { message, found: PostsFound::Unreachable { why } });
    }

    /// When something is to be read.
    pub(super) fn read_due(&self) -> Option<(Mono, &'static str)> {
        let reads = &self.reads;
        if reads.under_way.is_some() || !matches!(self.phase, Phase::Starting | Phase::Up | Phase::Down) {
            return None;
        }
        let poll = if reads.sweep.is_some() { Mono(0) } else { reads.next_poll };
        let find = (!reads.finds.is_empty()).then_some((Mono(0), "find"));
        let status = if reads.statuses.is_some() { Some(Mono(0)) } else { reads.tracks.next_due() };
        let others = [find, status.map(|at| (at, "status"))].into_iter().flatten().filter(|_| self.is_up());
        let (at, what) = others.chain([(poll, "poll")]).min()?;
        Some((at.max(reads.not_before), what))
    }

    pub(super) fn pump_reads(&mut self, now: Now) {
        if self.reads.under_way.is_some() || now.mono < self.reads.not_before {
            return;
        }
        for step in 0..3 {
            let turn = (self.reads.turn + step) % 3;
            let wanted = match turn {
                0 => self.incoming(now),
                1 => self.doubtful(now),
                _ => self.standing(now),
            };
            if let Some((reading, ask)) = wanted {
                self.reads.turn = (turn + 1) % 3;
                self.reads.under_way = Some((self.request(ask), reading));
                return;
            }
        }
    }

    pub(super) fn read_done(&mut self, reply: Reply, now: Now) {
        let Some((_, reading)) = self.reads.under_way.take() else { return };
        match (reading, reply) {
            (Reading::Clock, Reply::Messages(answer)) => self.clock_read(answer, now),
            (Reading::Page, Reply::Messages(answer)) => self.page_read(answer, now),
            (Reading::Files(sid), Reply::Media(answer)) => self.files_read(&sid, answer, now),
            (Reading::Find, Reply::Messages(answer)) => self.find_read(answer, now),
            (Reading::One(sid), Reply::Message(answer)) => self.one_read(&sid, *answer, now),
            (Reading::Statuses, Reply::Messages(answer)) => self.statuses_read(answer, now),
            (reading, _) => tracing::error!(?reading, "an answer to another question"),
        }
    }

    /// After a failure: when it may be asked again, and what that says of the line. The refusal, when to ask again
    /// would change nothing.
    fn read_failed(&mut self, error: RequestError, now: Now) -> Option<ApiError> {
        self.reads.failures = self.reads.failures.saturating_add(1);
        let crowded = matches!(&error, RequestError::Refused(error) if error.status == 429);
        let (first, most) = if crowded { CROWDED } else { AGAIN };
        let own = self.chance.back_off(first, self.reads.failures, most);
        let pause = asked_pause(&error).unwrap_or(own);
        match error {
            RequestError::Refused(error) if Self::shuts_out(&error) => {
                self.refused(&error, now);
                None
            }
            RequestError::Refused(_) if crowded => {
                tracing::debug!(seconds = pause.as_secs(), "the upstream asks for a pause");
                self.reads.not_before = now.mono + pause;
                None
            }
            RequestError::Refused(error) if error.status < 500 && error.status != 408 => Some(error),
            RequestError::Refused(_) | RequestError::NotSent { .. } | RequestError::Lost { .. } => {
                self.reads.not_before = now.mono + pause;
                self.failed(&error.to_string(), now);
                None
            }
        }
    }
}

/// What came in.
impl Line {
    fn incoming(&mut self, now: Now) -> Option<(Reading, Ask)> {
        if !matches!(self.phase, Phase::Starting | Phase::Up | Phase::Down) {
            return None;
        }
        if self.reads.sweep.is_none() {
            if now.mono < self.reads.next_poll {
                return None;
            }
            let to = address(self.setup.channel, self.setup.number.as_str());
            let Some(cursor) = self.reads.cursor else {
                let listing = Listing { to: Some(to), from: None, since: None, size: 1 };
                return Some((Reading::Clock, Ask::List(listing)));
            };
            self.reads.began = now.mono;
            self.reads.sweep = Some(self.sweep_since(to, cursor, now));
        }
        self.tell_texts(now)
    }

    fn sweep_since(&self, to: String, cursor: Wall, now: Now) -> Sweep {
        let reads = &self.reads;
        let before = |at: Wall, back: Duration| {
            Wall(at.0.saturating_sub(i64::try_from(back.as_millis()).unwrap_or(i64::MAX)))
        };
        let overlap = before(cursor, self.setup.overlap);
        let swept = self.is_up() && !reads.unswept;
        if swept && reads.next_whole_day.is_some_and(|at| now.mono >= at) {
            return Sweep::new(to, before(cursor, DAY), LARGE_PAGE, Reach::Day);
        }
        let near = reads.looked.filter(|_| swept && reads.many && now.mono < reads.next_overlap);
        match near {
            Some(looked) => Sweep::new(to, before(looked, NEAR).max(overlap), LARGE_PAGE, Reach::Near),
            None => {
                let size = if swept && !reads.many { PAGE } else { LARGE_PAGE };
                Sweep::new(to, overlap, size, Reach::Overlap)
            }
        }
    }

    fn clock_read(&mut self, answer: Result<Answer<MessagePage>, RequestError>, now: Now) {
        match answer {
            Ok(Answer { at, .. }) => {
                self.answered(at, now);
                self.reads.cursor = Some(at.unwrap_or(now.wall));
                self.come_up();
            }
            Err(error) => {
                if let Some(error) = self.read_failed(error, now) {
                    self.refused(&error, now);
                }
            }
        }
    }

    fn page_read(&mut self, answer: Result<Answer<MessagePage>, RequestError>, now: Now) {
        match answer {
            Ok(Answer { body, at, .. }) => {
                self.answered(at, now);
                self.come_up();
                let Some(sweep) = &mut self.reads.sweep else { return };
                sweep.take(body, at);
                // A page of the everyday size, and others like it: listed anew, with fewer requests.
                let small = sweep.reach == Reach::Overlap && !self.reads.unswept && !self.reads.many;
                if small && sweep.is_all_news(|sid| self.reads.told.holds(sid)) {
                    (self.reads.many, self.reads.sweep) = (true, None);
                    self.reads.next_overlap = now.mono;
                }
            }
            Err(error) => {
                let Some(error) = self.read_failed(error, now) else { return };
                if self.reads.sweep.take().is_none_or(|sweep| sweep.is_first()) {
                    return self.refused(&error, now);
                }
                // Its token names a message that is gone: from the start again, what was told is remembered.
                tracing::warn!(%error, "a page of the upstream's list cannot be had; it is listed anew");
                let pause = self.chance.back_off(AGAIN.0, self.reads.failures, AGAIN.1);
                self.reads.next_poll = now.mono + pause;
            }
        }
    }

    /// Tells what can be told; the request that it needs to go on.
    fn tell_texts(&mut self, now: Now) -> Option<(Reading, Ask)> {
        let mut sweep = self.reads.sweep.take()?;
        let again = sweep.reach == Reach::Day;
        while let Some(message) = sweep.head() {
            let told = self.reads.told.holds(&message.sid) && !again;
            if !told && message.num_media.unwrap_or(0) > 0 {
                let sid = message.sid.clone();
                self.reads.sweep = Some(sweep);
                return Some((Reading::Files(sid.clone()), Ask::Media(sid)));
            }
            if let Some(message) = sweep.pop().filter(|_| !told) {
                sweep.told += 1;
                self.tell_text(message, Vec::new(), now);
            }
            self.mark(&mut sweep, now);
        }
        match sweep.ask() {
            Some(ask) => {
                self.reads.sweep = Some(sweep);
                Some((Reading::Page, ask))
            }
            None => {
                self.swept(&sweep, now);
                None
            }
        }
    }

    fn tell_text(&mut self, message: Message, media: Vec<MediaLink>, now: Now) {
        self.reads.told.add(&message.sid);
        self.reads.media_tries.remove(&message.sid);
        let text: UpstreamText = message.received(&self.setup.account, media);
        let recent = match (text.sent, self.upstream(now)) {
            (Some(sent), Some(upstream)) => {
                upstream.since(sent) < self.setup.idle.max(Duration::from_secs(300))
            }
            (None, _) | (_, None) => true,
        };
        if recent {
            self.conversed(now);
        }
        self.tell(LineEvent::Text(Box::new(text)));
    }

    fn files_read(&mut self, sid: &str, answer: Result<Answer<Vec<MediaLink>>, RequestError>, now: Now) {
        let media = match answer {
            Ok(Answer { body, at, .. }) => {
                self.answered(at, now);
                body
            }
            Err(error) => {
                let gave = matches!(&error, RequestError::Refused(e) if e.status != 429);
                let lost = matches!(&error, RequestError::Lost { .. });
                let tries = self.reads.media_tries.entry(sid.to_owned()).or_default();
                *tries += u8::from(gave || lost);
                let enough = *tries >= MEDIA_TRIES;
                let refusal = self.read_failed(error, now);
                if refusal.is_none() && !enough {
                    return;
                }
                tracing::warn!(sid, "the files of a text cannot be listed: it is told without them");
                Vec::new()
            }
        };
        let Some(mut sweep) = self.reads.sweep.take() else { return };
        if sweep.head().is_some_and(|message| message.sid == sid)
            && let Some(message) = sweep.pop()
        {
            sweep.told += 1;
            self.tell_text(message, media, now);
            self.mark(&mut sweep, now);
        }
        self.reads.sweep = Some(sweep);
    }

    /// In a long backlog, a restart need not begin at its beginning.
    fn mark(&mut self, sweep: &mut Sweep, now: Now) {
        let milestone = sweep.milestone().filter(|_| sweep.reach != Reach::Near);
        if let Some(at) = milestone.filter(|at| self.reads.cursor.is_some_and(|cursor| cursor < *at)) {
            self.set_cursor(at, now);
        }
    }

    fn set_cursor(&mut self, at: Wall, now: Now) {
        self.reads.cursor = Some(at);
        self.reads.cursor_told = now.mono;
        self.tell(LineEvent::Cursor(at));
    }

    fn swept(&mut self, sweep: &Sweep, now: Now) {
        let took = now.mono.since(self.reads.began);
        self.reads.looked = sweep.began.or(self.reads.looked);
        if sweep.reach != Reach::Near {
            self.reads.many = sweep.reach == Reach::Overlap && sweep.listed > usize::from(PAGE);
            self.reads.next_overlap = now.mono + OVERLAP_EVERY.max(took * OVERLAP_SHARE);
            if let Some(began) = sweep.began {
                self.reads.cursor = Some(began);
                let late = now.mono.since(self.reads.cursor_told) >= CURSOR_EVERY;
                if sweep.told > 0 || self.reads.unswept || late {
                    self.set_cursor(began, now);
                }
            }
        }
        if sweep.reach == Reach::Day {
            self.reads.next_whole_day = Some(now.mono + DAY);
        } else if self.reads.next_whole_day.is_none() {
            self.reads.next_whole_day = Some(now.mono + FIRST_WHOLE_DAY);
        }
        if std::mem::take(&mut self.reads.unswept) {
            self.tell(LineEvent::Swept);
        }
        // After a whole page of news there is more by now; else as often as is set, however long a look takes.
        let due =
            if sweep.told >= usize::from(PAGE) { now.mono } else { self.reads.began + self.interval(now) };
        self.reads.next_poll = due.max(now.mono);
    }
}

/// Texts in doubt.
impl Line {
    fn doubtful(&mut self, now: Now) -> Option<(Reading, Ask)> {
        if !self.is_up() {
            return None;
        }
        let ours = self.ours();
        let finding = self.reads.finds.front()?;
        let ask = match &finding.next {
            Some(uri) => Ask::Page(uri.clone()),
            // By nothing but the two numbers: what waits for its turn at the upstream has no DateSent yet.
            None => Ask::List(Listing {
                to: Some(address(finding.post.channel, &finding.post.to)),
                from: ours,
                since: None,
                size: FIND_PAGE,
            }),
        };
        tracing::debug!(message = %finding.message, wall = %now.wall, "a text in doubt is looked for");
        Some((Reading::Find, ask))
    }

    /// Our address as a sender; with a messaging service it may be any of several.
    fn ours(&self) -> Option<String> {
        let own = || address(self.setup.channel, self.setup.number.as_str());
        self.setup.service.is_none().then(own)
    }

    fn find_read(&mut self, answer: Result<Answer<MessagePage>, RequestError>, now: Now) {
        match answer {
            Ok(Answer { body, at, .. }) => {
                self.answered(at, now);
                let skew = self.upstream(now).map(|upstream| upstream.0 - now.wall.0);
                let Some(finding) = self.reads.finds.front_mut() else { return };
                let floor = floor(finding.since, skew, now.wall);
                finding.pages += 1;
                let over = body.messages.iter().any(|m| m.created().is_some_and(|at| at < floor));
                let fits = |m: &&Message| is_it(m, &finding.post, floor);
                finding.found.extend(body.messages.iter().filter(fits).map(Message::found));
                let next = body.next_page_uri.filter(|_| !over);
                let is_cut = next.is_some() && finding.pages >= FIND_PAGES;
                finding.next = next.filter(|_| !is_cut);
                if finding.next.is_none()
                    && let Some(mut finding) = self.reads.finds.pop_front()
                {
                    finding.found.reverse();
                    // Not to be found among the newest is not the same as not to be there.
                    let found = if is_cut && finding.found.is_empty() {
                        PostsFound::Unreachable { why: "too many later texts to look through".to_owned() }
                    } else {
                        PostsFound::These(finding.found)
                    };
                    self.tell(LineEvent::Found { message: finding.message, found });
                }
            }
            Err(error) => {
                let why = error.to_string();
                let crowded = matches!(&error, RequestError::Refused(e) if e.status == 429);
                let refusal = self.read_failed(error, now);
                let Some(finding) = self.reads.finds.front_mut() else { return };
                finding.tries += u32::from(!crowded);
                if (refusal.is_some() || finding.tries >= FIND_TRIES)
                    && let Some(finding) = self.reads.finds.pop_front()
                {
                    let found = PostsFound::Unreachable { why };
                    self.tell(LineEvent::Found { message: finding.message, found });
                }
            }
        }
    }
}

/// Nothing older than this can be the text: by either clock, whichever is earlier.
fn floor(since: Wall, skew: Option<i64>, wall: Wall) -> Wall {
    // A time to come says that the box's clock was put back since.
    let ours = if since > wall { wall.0.saturating_sub(86_400_000) } else { since.0 };
    let theirs = skew.map_or(ours, |skew| ours.saturating_add(skew));
    let slack = i64::try_from(FIND_SLACK.as_millis()).unwrap_or(0);
    Wall(ours.min(theirs).saturating_sub(slack))
}

fn is_it(message: &Message, post: &Post, floor: Wall) -> bool {
    let same = |theirs: &str, ours: &str| {
        let (theirs, ours) = (theirs.replace("\r\n", "\n"), ours.replace("\r\n", "\n"));
        let (theirs, ours) = (theirs.trim(), ours.trim());
        theirs == ours || theirs.strip_prefix(TRIAL).is_some_and(|rest| rest.trim() == ours)
    };
    // A file that the upstream has not fetched yet may not be counted yet.
    let told = message.num_media.and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    message.direction == "outbound-api"
        && message.created().is_none_or(|at| at >= floor)
        && (post.template.is_some() || told == 0 || told == post.media.len())
        // What a template comes to is the upstream's to say.
        && (post.template.is_some() || same(&message.body, &post.body))
}

/// Where texts that left stand.
impl Line {
    fn standing(&mut self, now: Now) -> Option<(Reading, Ask)> {
        if !self.is_up() {
            return None;
        }
        if self.reads.statuses.is_none() {
            match self.reads.tracks.wanted(now.mono)? {
                Wanted::One(sid) => return Some((Reading::One(sid.clone()), Ask::Message(sid))),
                Wanted::Listed(sids, oldest) => {
                    self.reads.statuses = Some(Statuses { sids, oldest, next: None, pages: 0 });
                }
            }
        }
        let (ours, upstream) = (self.ours(), self.upstream(now));
        let statuses = self.reads.statuses.as_ref()?;
        let slack = i64::try_from((statuses.oldest + FIND_SLACK).as_millis()).unwrap_or(i64::MAX);
        let ask = match &statuses.next {
            Some(uri) => Ask::Page(uri.clone()),
            None => Ask::List(Listing {
                to: None,
                from: ours,
                since: upstream.map(|at| Wall(at.0.saturating_sub(slack))),
                size: LARGE_PAGE,
            }),
        };
        Some((Reading::Statuses, ask))
    }

    fn stands(&mut self, message: &Message, now: Now) {
        let Some(status) = message.standing() else { return self.reads.tracks.asked(&message.sid, now.mono) };
        if let Some(news) = self.reads.tracks.told(status, now.mono) {
            self.tell(LineEvent::Status(news));
        }
    }

    fn one_read(&mut self, sid: &str, answer: Result<Answer<Message>, RequestError>, now: Now) {
        match answer {
            Ok(Answer { body, at, .. }) => {
                self.answered(at, now);
                self.stands(&body, now);
                if body.sid != sid {
                    self.reads.tracks.asked(sid, now.mono);
                }
            }
            Err(error) => match self.read_failed(error, now) {
                Some(error) if error.status == 404 => self.reads.tracks.forget(sid),
                Some(_) => self.reads.tracks.asked(sid, now.mono),
                None => {}
            },
        }
    }

    fn statuses_read(&mut self, answer: Result<Answer<MessagePage>, RequestError>, now: Now) {
        let Some(mut statuses) = self.reads.statuses.take() else { return };
        let page = match answer {
            Ok(Answer { body, at, .. }) => {
                self.answered(at, now);
                body
            }
            Err(error) => {
                let crowded_or_broken = self.read_failed(error, now).is_none();
                if crowded_or_broken && self.is_up() {
                    self.reads.statuses = Some(statuses);
                } else {
                    self.unlist(&statuses);
                }
                return;
            }
        };
        for message in &page.messages {
            if statuses.sids.remove(&message.sid) {
                self.stands(message, now);
            }
        }
        statuses.pages += 1;
        statuses.next = page.next_page_uri;
        if statuses.sids.is_empty() {
            return;
        }
        if statuses.next.is_some() && statuses.pages < STATUS_PAGES {
            self.reads.statuses = Some(statuses);
        } else {
            self.unlist(&statuses);
        }
    }

    /// What no list shows is asked for by itself.
    fn unlist(&mut self, statuses: &Statuses) {
        for sid in &statuses.sids {
            self.reads.tracks.unlisted(sid);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::{Channel, Enclosed};

    #[test]
    fn a_text_in_doubt_is_the_one_with_its_words_and_its_number_of_files() {
        let message = |body: &str, files: &str| -> Message {
            serde_json::from_value(
                json!({ "sid": "MM1", "direction": "outbound-api", "body": body, "num_media": files }),
            )
            .unwrap()
        };
        let post = |body: &str, files: u8, template: bool| Post {
            message: MessageId::from("SM1"),
            attempt: 1,
            channel: Channel::Sms,
            to: "+12065550142".into(),
            body: body.into(),
            media: (1..=files).map(Enclosed::Kept).collect(),
            template: template.then(|| ("HX1".to_owned(), serde_json::Map::new())),
        };
        let is = |theirs: &Message, ours: &Post| is_it(theirs, ours, Wall(0));
        assert!(is(&message("a", "2"), &post("a", 2, false)));
        assert!(is(&message("Sent from your Twilio trial account - a", "0"), &post("a", 0, false)));
        assert!(!is(&message("Sent from your Twilio trial account - b", "0"), &post("a", 0, false)));
        assert!(is(&message("a", "0"), &post("a", 2, false)), "not fetched yet");
        assert!(is(&message("", "1"), &post("", 1, false)));
        assert!(!is(&message("a", "1"), &post("a", 2, false)));
        assert!(!is(&message("a", "1"), &post("a", 0, false)));
        assert!(!is(&message("b", "2"), &post("a", 2, false)));
        assert!(
            is(&message("Jane, it is ready", "1"), &post("", 0, true)),
            "what it came to is not ours to say"
        );
    }
}
