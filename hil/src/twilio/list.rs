//! Lists: the filters on dates, and the pages in both shapes, of the 2010 API and of v1 and v2. `PageToken` (PA… onwards,
//! PB… back) is the cursor and `Page` is decoration, so that entries which come in meanwhile move nothing.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::asked::Asked;
use super::form::{self, Pairs};
use super::message::{Refusal, refused};

/// `Name>=`, `Name<=` and `Name=`: inclusive, of a day or of a point in time.
pub(super) struct Between {
    pub(super) from: Option<Timestamp>,
    to: Option<Timestamp>,
}

impl Between {
    pub(super) fn of(query: &Pairs, name: &str, days_only: bool) -> Result<Self, Refusal> {
        let bound = |suffix: &str, end: bool| {
            let given = form::get(query, &format!("{name}{suffix}"));
            let read = |text| {
                moment(text, end, days_only).ok_or_else(|| refused(20001, format!("Invalid {name}: {text}")))
            };
            given.map(read).transpose()
        };
        // A date without comparison is the whole of its day.
        let (day, day_end) = (bound("", false)?, bound("", true)?);
        Ok(Self { from: bound(">", false)?.or(day), to: bound("<", true)?.or(day_end) })
    }

    pub(super) fn holds(&self, at: Timestamp) -> bool {
        // Twilio keeps whole seconds.
        let second = at.as_second();
        self.from.is_none_or(|from| from.as_second() <= second)
            && self.to.is_none_or(|to| second <= to.as_second())
    }
}

/// A day's first or last second, or the very time when times are looked at.
fn moment(text: &str, end: bool, days_only: bool) -> Option<Timestamp> {
    let exact: Option<Timestamp> = text.parse().ok();
    if let Some(exact) = exact.filter(|_| !days_only) {
        return Some(exact);
    }
    let day: Date = exact.map(|at| at.to_zoned(TimeZone::UTC).date()).or_else(|| text.parse().ok())?;
    let time = if end { day.at(23, 59, 59, 0) } else { day.at(0, 0, 0, 0) };
    time.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp())
}

/// Where in a list the client wants to go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    Start,
    After(String),
    Before(String),
}

/// Which page is asked for.
pub(super) struct Wanted {
    pub(super) number: usize,
    pub(super) size: usize,
    pub(super) cursor: Cursor,
}

impl Wanted {
    pub(super) fn of(asked: &Asked) -> Result<Self, Refusal> {
        let number = |name| form::get(&asked.query, name).map(str::parse::<usize>).transpose();
        let bad = |_| refused(20001, "Page and PageSize are numbers");
        let cursor = match form::get(&asked.query, "PageToken") {
            None => Cursor::Start,
            Some(token) => match (token.get(..2), token.get(2..)) {
                (Some("PA"), Some(sid)) => Cursor::After(sid.to_owned()),
                (Some("PB"), Some(sid)) => Cursor::Before(sid.to_owned()),
                _ => return Err(bad_token()),
            },
        };
        Ok(Self {
            size: number("PageSize").map_err(bad)?.unwrap_or(50).clamp(1, 1000),
            number: number("Page").map_err(bad)?.unwrap_or_default(),
            cursor,
        })
    }
}

pub(super) fn bad_token() -> Refusal {
    refused(20001, "Invalid PageToken")
}

/// One page's entries, and the SIDs that the pages beside it go on from.
pub(super) struct Shown {
    pub(super) entries: Vec<Value>,
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
}

/// Cuts a page out of a whole list. So many entries of the page before come again.
fn cut(
    wanted: &Wanted,
    sids: &[&str],
    overlap: usize,
    shown: impl Fn(usize) -> Option<Value>,
) -> Result<Shown, Refusal> {
    let at = |sid: &str| sids.iter().position(|one| *one == sid).ok_or_else(bad_token);
    let first = match &wanted.cursor {
        Cursor::Start => 0,
        Cursor::After(last) => (at(last)? + 1).saturating_sub(overlap.min(wanted.size - 1)),
        Cursor::Before(next) => at(next)?.saturating_sub(wanted.size),
    };
    let end = sids.len().min(first + wanted.size);
    let sid = |at: usize| sids.get(at).map(|sid| (*sid).to_owned());
    Ok(Shown {
        entries: (first..end).filter_map(shown).collect(),
        next: if end < sids.len() { sid(end.saturating_sub(1)) } else { None },
        previous: if first > 0 { sid(first) } else { None },
    })
}

fn uri(asked: &Asked, page: usize, size: usize, token: Option<String>) -> String {
    let own = ["Page", "PageSize", "PageToken"];
    let mut query: Pairs =
        asked.query.iter().filter(|(name, _)| !own.contains(&name.as_str())).cloned().collect();
    query.push(("PageSize".to_owned(), size.to_string()));
    query.push(("Page".to_owned(), page.to_string()));
    query.extend(token.map(|token| ("PageToken".to_owned(), token)));
    format!("{}?{}", asked.path, form::write(&query))
}

struct Uris {
    own: String,
    first: String,
    next: Option<String>,
    previous: Option<String>,
}

impl Uris {
    fn of(asked: &Asked, wanted: &Wanted, shown: &Shown) -> Self {
        let (number, size) = (wanted.number, wanted.size);
        let token = form::get(&asked.query, "PageToken").map(str::to_owned);
        let next = shown.next.as_ref().map(|sid| uri(asked, number + 1, size, Some(format!("PA{sid}"))));
        let before = number.saturating_sub(1);
        let previous = shown.previous.as_ref().map(|sid| uri(asked, before, size, Some(format!("PB{sid}"))));
        Self { own: uri(asked, number, size, token), first: uri(asked, 0, size, None), next, previous }
    }
}

/// A page in the shape of the 2010 API: relative URIs beside the list.
pub(super) fn framed(asked: &Asked, wanted: &Wanted, key: &str, shown: Shown) -> Value {
    let uris = Uris::of(asked, wanted, &shown);
    let start = wanted.number * wanted.size;
    let end = start + shown.entries.len().saturating_sub(1);
    let mut body = Map::new();
    body.insert(key.to_owned(), shown.entries.into());
    body.insert("page".to_owned(), wanted.number.into());
    body.insert("page_size".to_owned(), wanted.size.into());
    body.insert("start".to_owned(), start.into());
    body.insert("end".to_owned(), end.into());
    body.insert("uri".to_owned(), uris.own.into());
    body.insert("first_page_uri".to_owned(), uris.first.into());
    body.insert("next_page_uri".to_owned(), uris.next.into());
    body.insert("previous_page_uri".to_owned(), uris.previous.into());
    body.into()
}

/// One page of a whole list, in the shape of the 2010 API.
pub(super) fn page(
    asked: &Asked,
    key: &str,
    sids: &[&str],
    overlap: usize,
    shown: impl Fn(usize) -> Option<Value>,
) -> Result<Value, Refusal> {
    let wanted = Wanted::of(asked)?;
    let shown = cut(&wanted, sids, overlap, shown)?;
    Ok(framed(asked, &wanted, key, shown))
}

/// The same in the shape of v1 and v2: absolute URLs under `meta`, which SDKs follow as they stand.
pub(super) fn page_with_meta(
    asked: &Asked,
    key: &str,
    sids: &[&str],
    shown: impl Fn(usize) -> Option<Value>,
) -> Result<Value, Refusal> {
    let wanted = Wanted::of(asked)?;
    let shown = cut(&wanted, sids, 0, shown)?;
    let uris = Uris::of(asked, &wanted, &shown);
    let absolute = |uri: String| format!("{}{uri}", asked.base);
    let mut body = Map::new();
    body.insert(key.to_owned(), shown.entries.into());
    let meta = json!({
        "page": wanted.number,
        "page_size": wanted.size,
        "first_page_url": absolute(uris.first),
        "previous_page_url": uris.previous.map(absolute),
        "next_page_url": uris.next.map(absolute),
        "url": absolute(uris.own),
        "key": key,
    });
    body.insert("meta".to_owned(), meta);
    Ok(body.into())
}
