//! What goes with the words of a text, or in their place: files and templates. Which line can carry them, and what
//! becomes of them where none can.
//!
//! Files, in full:
//! - An upstream carries files that lie at a public address. The box's own it fetches from `[web]`, by an address that the
//!   line signs (`twilio::files`): without `public_url` and `listen` only public addresses go.
//! - A modem carries none: SMS has no files, and MMS by a modem is not there. A line that can carry the files goes before
//!   the number that the person knows, for this text alone: what is said next goes by their number again.
//! - Where no line can, what people and programs send is refused at once, with what to do about it. They know better than
//!   the box what to write in place of a picture. A flow cannot be asked: its files are at public addresses already, and
//!   these become the last lines of its words.
//! - WhatsApp takes one file a text.
//!
//! Templates, in full:
//! - One that was asked for goes by an upstream's line alone; it says everything itself, so its text has no words.
//! - Words of people and flows outside WhatsApp's window go by the line's `outside_window` template, line breaks as spaces,
//!   or not by WhatsApp (its error would be 63016). Files and offers do not go so, and nobody is written to so who never
//!   wrote by WhatsApp: whoever begins there asks for a template by its name. That is decided when the text is handed
//!   over, and is undone with a try that did not leave: who wrote meanwhile gets the words as they are.
//! - A template approved for offers makes its text one, whoever sends it: consent and hours hold.
//!
//! Deliberately absent: what people ask for (`send_command`), what a template says (Twilio's).

use serde_json::{Map, Value};

use super::Cx;
use super::choice::{Candidate, Choice, choose};
use super::lines::Line;
use super::sending::Outgoing;
use super::shop::Shop;
use crate::config::{SHOP, TEXT, TemplateConfig, TemplatePurpose};
use crate::messaging::ledger::Purpose;
use crate::store::{MediaRow, MediaState, MessageRow, Op, Source};
use crate::types::{Channel, Enclosed, LineId, MessageId, Now};

/// Which files a line carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Files {
    /// None: a modem.
    #[default]
    None,
    /// Those at public addresses.
    Links,
    /// The box's own too: the upstream can fetch them here.
    Own,
}

/// A template as it is posted: `HX...` and its variables.
pub(super) type Content = (String, Map<String, Value>);

/// A file that is to go with a text.
#[derive(Clone, Debug)]
pub(super) enum NewFile {
    /// At a public address.
    Link(String),
    /// The box's own.
    Own { name: String, content_type: &'static str, bytes: Vec<u8> },
}

/// What is to be said.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) body: String,
    pub(super) files: Vec<NewFile>,
    /// In place of words.
    pub(super) template: Option<Content>,
    /// By a line of this kind.
    pub(super) channel: Option<Channel>,
}

impl From<String> for Said {
    fn from(body: String) -> Self {
        Self { body, ..Self::default() }
    }
}

/// What a text asks of its line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wants {
    /// A template was asked for.
    template: bool,
    files: usize,
    /// Some are the box's own.
    own: bool,
    /// Their addresses may be part of the words.
    as_words: bool,
    offer: bool,
    channel: Option<Channel>,
}

impl Wants {
    /// Words of that purpose, and nothing with them.
    pub(super) fn words(purpose: Purpose) -> Self {
        Self { offer: purpose == Purpose::Marketing, ..Self::default() }
    }

    pub(super) fn of(out: &Outgoing) -> Self {
        Self::of_row(&out.row, &out.files)
    }

    fn of_row(row: &MessageRow, files: &[Enclosed]) -> Self {
        let own = files.iter().any(|file| matches!(file, Enclosed::Kept(_)));
        Self {
            template: row.carriage.template.is_some() && !is_wrapped(row),
            files: files.len(),
            own,
            as_words: matches!(row.source, Source::Flow(_)) && !own,
            ..Self::words(row.purpose)
        }
    }

    /// Of what is about to be put down.
    pub(super) fn of_said(said: &Said, source: &Source, purpose: Purpose) -> Self {
        let own = said.files.iter().any(|file| matches!(file, NewFile::Own { .. }));
        Self {
            template: said.template.is_some(),
            files: said.files.len(),
            own,
            as_words: matches!(source, Source::Flow(_)) && !own,
            channel: said.channel,
            ..Self::words(purpose)
        }
    }

    /// More than words, for which another line than usual may be needed.
    pub(super) fn is_special(self) -> bool {
        self.template || self.files > 0 || self.channel.is_some()
    }
}

/// Free words that were put into the template for what is said outside the window.
fn is_wrapped(row: &MessageRow) -> bool {
    row.carriage.template.is_some() && !row.body.is_empty()
}

/// The words of a text as a line takes them that carries no files.
pub(super) fn words_with_links(row: &MessageRow, files: &[Enclosed]) -> String {
    let links = files.iter().filter_map(|file| match file {
        Enclosed::Link(url) => Some(url.as_str()),
        Enclosed::Kept(_) => None,
    });
    let words = Some(row.body.as_str()).filter(|body| !body.is_empty());
    words.into_iter().chain(links).collect::<Vec<_>>().join("\n")
}

/// A variable of a template of WhatsApp's takes no line breaks.
fn one_line(words: &str) -> String {
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Shop {
    /// The line for a text to a person, and why.
    pub(super) fn choose_line(&self, now: Now, person: &str, wants: Wants) -> Result<Choice, String> {
        let strict = self.choose_among(now, person, Wants { as_words: false, ..wants });
        if !wants.as_words || wants.files == 0 {
            return strict;
        }
        let can_send = |choice: &Choice| self.lines.get(&choice.line).is_some_and(Line::can_send);
        match (strict, self.choose_among(now, person, wants)) {
            (Ok(strict), _) if can_send(&strict) => Ok(strict),
            (_, Ok(lax)) if can_send(&lax) => Ok(lax),
            (Ok(strict), _) => Ok(strict),
            (Err(_), lax) => lax,
        }
    }

    fn choose_among(&self, now: Now, person: &str, wants: Wants) -> Result<Choice, String> {
        let known = self.known(person);
        let setups = self.setup.lines.iter().filter_map(|setup| self.lines.get(&setup.id));
        let mut lines: Vec<Candidate<'_>> = setups
            .filter(|line| wants.channel.is_none_or(|channel| line.setup.channel == channel))
            .map(|line| self.candidate(now, person, line, wants))
            .collect();
        match wants.channel {
            Some(Channel::WhatsApp) if lines.is_empty() => {
                return Err("the shop has no WhatsApp line".to_owned());
            }
            Some(_) | None => {}
        }
        if wants.is_special() {
            // Why an upstream's line cannot says more than that a modem never does.
            lines.sort_by_key(|c| self.lines.get(c.id).is_some_and(|line| !line.takes_whole()));
        }
        choose(&lines, known)
    }

    /// Why this line cannot carry a text to this person, whatever the person wants.
    pub(super) fn cannot_carry(&self, now: Now, person: &str, line: &Line, wants: Wants) -> Option<String> {
        if wants.template && !line.takes_whole() {
            return Some("a modem sends no templates".to_owned());
        }
        self.cannot_carry_files(line, wants).or_else(|| {
            let outside =
                line.setup.channel == Channel::WhatsApp && !wants.template && !self.window_open(now, person);
            if !outside {
                return None;
            }
            let late = "their last WhatsApp text is older than 24 hours";
            Some(match &line.setup.outside {
                None => format!("{late} (63016), and the line has no template for that (`outside_window`)"),
                Some(_) if !self.wrote_by_whatsapp(person) => {
                    "they never wrote by WhatsApp (63016): begin with a template".to_owned()
                }
                Some(_) if wants.files > 0 => format!("{late} (63016), and a template takes no files along"),
                Some(_) if wants.offer => format!("{late} (63016): an offer needs a template of its own"),
                Some(_) => return None,
            })
        })
    }

    fn wrote_by_whatsapp(&self, person: &str) -> bool {
        self.people.get(person).is_some_and(|talk| talk.state.whatsapp.is_some())
    }

    fn cannot_carry_files(&self, line: &Line, wants: Wants) -> Option<String> {
        if wants.files == 0 {
            return None;
        }
        match line.setup.files {
            Files::None if wants.as_words => None,
            Files::None => Some("a modem carries no files".to_owned()),
            Files::Links if wants.own => Some(
                "Twilio fetches files from a public address, and this line has none: write its `public_url`, and \
                 `listen` in [web], or give a public address with --media-url"
                    .to_owned(),
            ),
            Files::Links | Files::Own if line.setup.channel == Channel::WhatsApp && wants.files > 1 => {
                Some("WhatsApp takes one file a text".to_owned())
            }
            Files::Links | Files::Own => None,
        }
    }

    /// A template of the configuration, by its name or SID.
    pub(super) fn template_named(&self, name: &str) -> Option<&TemplateConfig> {
        self.setup.templates.iter().find(|t| t.id == name || t.sid.eq_ignore_ascii_case(name))
    }

    /// The purpose of a text by this template: never less strict than what it was approved for.
    pub(super) fn purpose_by(&self, template: Option<&Content>, said: Purpose) -> Purpose {
        let known = template.and_then(|(sid, _)| self.template_named(sid));
        match (known.map(|t| t.purpose), said) {
            (Some(TemplatePurpose::Marketing), Purpose::Reply | Purpose::Informational) => Purpose::Marketing,
            (Some(_) | None, said) => said,
        }
    }

    /// A template that somebody names, with its variables by number.
    ///
    /// # Errors
    /// In words: there is none, or its variables are others.
    pub(super) fn content(&self, name: &str, given: &Map<String, Value>) -> Result<Content, String> {
        let known = self.template_named(name);
        let mut variables = Map::new();
        for (key, value) in given {
            let value = match value {
                Value::String(text) if !text.trim().is_empty() => text.clone(),
                Value::Number(number) => number.to_string(),
                _ => return Err(format!("variable `{key}` takes words or a number")),
            };
            let at = known.and_then(|t| t.variables.iter().position(|name| name == key));
            let number = at.map_or_else(|| key.clone(), |at| (at + 1).to_string());
            variables.insert(number, value.into());
        }
        let Some(template) = known else {
            let digits = name.strip_prefix("HX").unwrap_or_default();
            if digits.len() == 32 && digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok((name.to_owned(), variables));
            }
            let all: Vec<&str> = self.setup.templates.iter().map(|t| t.id.as_str()).collect();
            let all = if all.is_empty() { "the file has no [[template]]".to_owned() } else { all.join(", ") };
            return Err(format!("there is no template `{name}`: {all}; or write its HX and 32 digits"));
        };
        let wanted: Vec<String> = (1..=template.variables.len()).map(|number| number.to_string()).collect();
        if variables.len() != wanted.len() || !wanted.iter().all(|number| variables.contains_key(number)) {
            return Err(format!(
                "template `{}` takes these variables, all of them: {}",
                template.id,
                template.variables.join(", ")
            ));
        }
        Ok((template.sid.clone(), variables))
    }

    /// The text in the line's template for what is said outside the window; `None`: it goes as it is.
    fn wrapped(&self, now: Now, line: &LineId, row: &MessageRow) -> Option<Content> {
        let line = self.lines.get(line).filter(|line| line.setup.channel == Channel::WhatsApp)?;
        if row.carriage.template.is_some()
            || self.window_open(now, &row.peer)
            || !self.wrote_by_whatsapp(&row.peer)
        {
            return None;
        }
        let template = line.setup.outside.as_ref()?;
        let value = |name: &String| match name.as_str() {
            TEXT => one_line(&row.body),
            SHOP => one_line(self.settings.text("shop.name")),
            // The configuration's reader has refused others.
            _ => String::new(),
        };
        let named = (1..).zip(&template.variables);
        let variables =
            named.map(|(number, name): (u32, _)| (number.to_string(), value(name).into())).collect();
        Some((template.sid.clone(), variables))
    }

    /// A text is about to be handed over: outside the window its words go into the line's template.
    pub(super) fn wrap(&mut self, cx: &mut Cx<'_>, line: &LineId, id: &MessageId) {
        let Some(out) = self.outgoing.get(id) else { return };
        let Some(content) = self.wrapped(cx.now, line, &out.row) else { return };
        self.count("texts_by_template_outside_window");
        if let Some(out) = self.outgoing.get_mut(id) {
            out.row.carriage.template = Some(content);
            cx.put(Op::PutMessage(out.row.clone()));
        }
    }

    /// A try did not leave: the next one may be by another line, or inside the window.
    pub(super) fn unwrap_words(&mut self, id: &MessageId) {
        if let Some(out) = self.outgoing.get_mut(id).filter(|out| is_wrapped(&out.row)) {
            out.row.carriage.template = None;
        }
    }

    /// Whether what is looked for of this text is less than its words.
    pub(super) fn goes_as_template(&self, now: Now, line: &LineId, out: &Outgoing) -> bool {
        out.row.carriage.template.is_some() || self.wrapped(now, line, &out.row).is_some()
    }

    /// Puts the files of a text down with it.
    pub(super) fn keep_files(&self, cx: &mut Cx<'_>, row: &MessageRow, files: Vec<NewFile>) -> Vec<Enclosed> {
        let mut all = Vec::with_capacity(files.len());
        let line = row.line.clone().unwrap_or_else(|| LineId(String::new()));
        for (number, file) in (1u8..).zip(files) {
            let (url, content_type, state, bytes, enclosed) = match file {
                NewFile::Link(url) => {
                    (url.clone(), String::new(), MediaState::Linked, None, Enclosed::Link(url))
                }
                NewFile::Own { name, content_type, bytes } => {
                    (name, content_type.to_owned(), MediaState::Kept, Some(bytes), Enclosed::Kept(number))
                }
            };
            cx.put(Op::PutMedia(MediaRow {
                shop: self.id.clone(),
                message: row.id.clone(),
                number,
                line: line.clone(),
                url,
                content_type,
                state,
                note: None,
                bytes,
                updated: cx.now.wall,
            }));
            all.push(enclosed);
        }
        all
    }
}

/// The files of a text that was put down before.
pub(super) fn enclosed(rows: &[MediaRow], row: &MessageRow) -> Vec<Enclosed> {
    let own = rows.iter().filter(|file| file.shop == row.shop && file.message == row.id);
    let file = |file: &MediaRow| match file.state {
        MediaState::Linked => Some(Enclosed::Link(file.url.clone())),
        MediaState::Kept => Some(Enclosed::Kept(file.number)),
        MediaState::Wanted | MediaState::Gone => None,
    };
    own.filter_map(file).collect()
}
