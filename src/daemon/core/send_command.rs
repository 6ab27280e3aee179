//! A text that a person or a program asks for, by the control socket: checked whole before anything is put down, so that who
//! asks hears at once what is wrong. What goes with a text, and which line carries it, is `enclosing`'s.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Cx;
use super::consent::Why;
use super::enclosing::{NewFile, Said, Wants};
use super::shop::Shop;
use crate::messaging::ledger::{Exempt, Purpose};
use crate::store::Source;
use crate::types::file::{FILES_LARGEST, FILES_MOST, check_link, kind_of};
use crate::types::{Channel, OwnFile, PhoneNumber, Wall};

/// As Twilio has it (error 21617). Characters.
const LONGEST: usize = 1600;

/// What goes with the words of a text, or in their place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enclosure {
    /// Files of the box's own.
    pub files: Vec<OwnFile>,
    /// Public https addresses of files.
    pub links: Vec<String>,
    /// A template in place of words: its name in the configuration, or `HX` and 32 digits.
    pub template: Option<String>,
    /// The template's variables, by name or number.
    pub variables: Map<String, Value>,
}

/// A text as it is asked for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    /// As people write numbers; `whatsapp:` before it asks for that channel.
    pub(super) to: String,
    pub(super) body: String,
    pub(super) purpose: Purpose,
    /// Which law, which emergency.
    pub(super) why: String,
    pub(super) by: String,
    pub(super) with: Enclosure,
}

impl Shop {
    pub(super) fn send_command(&mut self, cx: &mut Cx<'_>, wish: Wish) -> Result<Value, String> {
        let country = self.settings.text("shop.calling_code").to_owned();
        let (channel, to) = match wish.to.strip_prefix("whatsapp:") {
            Some(to) => (Some(Channel::WhatsApp), to),
            None => (None, wish.to.as_str()),
        };
        let to = PhoneNumber::parse(to, Some(&country)).map_err(|e| e.to_string())?;
        let said = self.said(wish.body, wish.with, channel)?;
        let purpose = self.purpose_by(said.template.as_ref(), wish.purpose);
        check_purpose(purpose, &wish.why)?;
        let wants = Wants::of_said(&said, &Source::Program, purpose);
        if let Some(why) = self.refused_to(cx.now, to.as_str(), purpose, wants) {
            return Err(why);
        }
        let id = cx.message_id();
        self.send_text(cx, id.clone(), to.as_str(), said, Why { source: Source::Program, purpose }, None);
        let Some(out) = self.outgoing.get(&id) else {
            return Err("it cannot be sent: the shop has no line".to_owned());
        };
        if matches!(purpose, Purpose::Exempt(_)) {
            self.audit_exempt(cx, &out.row, &wish.by, &wish.why);
        }
        let waits = out.row.not_before.and(out.row.note.as_ref());
        Ok(json!({ "id": id, "waits": waits, "not_before": out.row.not_before.map(Wall::rfc3339) }))
    }

    /// What is to be said, checked.
    fn said(&self, body: String, with: Enclosure, channel: Option<Channel>) -> Result<Said, String> {
        let Enclosure { files, links, template, variables } = with;
        let files = check_files(files, links)?;
        let template = match &template {
            Some(name) => Some(self.content(name, &variables)?),
            None if !variables.is_empty() => return Err("variables are a template's: say which".to_owned()),
            None => None,
        };
        let words = !body.trim().is_empty();
        match (&template, words, files.is_empty()) {
            (Some(_), false, true) | (None, true, _) | (None, false, false) => {}
            (Some(_), ..) => {
                return Err("a template says everything itself: no words and no files with it".to_owned());
            }
            (None, false, true) => return Err("the text is empty".to_owned()),
        }
        let characters = body.chars().count();
        if characters > LONGEST {
            return Err(format!("the text has {characters} characters; {LONGEST} is the most"));
        }
        // An empty body stands for none, also in what is looked for later.
        let body = if words { body } else { String::new() };
        Ok(Said { body, files, template, channel })
    }
}

fn check_purpose(purpose: Purpose, why: &str) -> Result<(), String> {
    match purpose {
        Purpose::Exempt(Exempt::Confirmation) => Err("only the box confirms STOP and START".to_owned()),
        Purpose::Exempt(Exempt::Emergency | Exempt::Law) if why.trim().is_empty() => {
            Err("what reaches people who said STOP needs its reason: which emergency, which law".to_owned())
        }
        Purpose::Exempt(_) | Purpose::Reply | Purpose::Informational | Purpose::Marketing => Ok(()),
    }
}

/// How many, how large, of which kind.
fn check_files(own: Vec<OwnFile>, links: Vec<String>) -> Result<Vec<NewFile>, String> {
    let count = own.len() + links.len();
    if count > FILES_MOST {
        return Err(format!("the text has {count} files; {FILES_MOST} are the most"));
    }
    let size: usize = own.iter().map(|file| file.bytes.len()).sum();
    if size > FILES_LARGEST {
        let mib = FILES_LARGEST >> 20;
        return Err(format!("the files have {size} bytes together; {FILES_LARGEST} ({mib} MB) are the most"));
    }
    let mut files = Vec::with_capacity(count);
    for OwnFile { name, bytes } in own {
        let content_type = kind_of(&name, &bytes).ok_or_else(|| {
            format!(
                "{name} is of no kind that can be sent: pictures, sound, video, PDF, vCard, iCalendar, CSV"
            )
        })?;
        files.push(NewFile::Own { name, content_type, bytes });
    }
    for url in links {
        check_link(&url, false).map_err(|why| format!("{url} is no address of a file: {why}"))?;
        files.push(NewFile::Link(url));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, size: usize) -> OwnFile {
        let mut bytes = b"\xff\xd8\xff".to_vec();
        bytes.resize(size, 0);
        OwnFile { name: name.to_owned(), bytes }
    }

    fn wrong(own: Vec<OwnFile>, links: &[&str]) -> String {
        check_files(own, links.iter().map(|l| (*l).to_owned()).collect()).unwrap_err()
    }

    #[test]
    fn ten_files_of_five_megabytes_in_all_are_the_most() {
        let half = FILES_LARGEST / 2;
        assert_eq!(check_files(vec![own("a.jpg", half), own("b.jpg", half)], Vec::new()).unwrap().len(), 2);
        assert!(wrong(vec![own("a.jpg", half), own("b.jpg", half + 1)], &[]).contains("5242881 bytes"));
        let many = ["https://example.com/a.jpg"; 10];
        assert!(wrong(vec![own("a.jpg", 9)], &many).contains("11 files"));
    }

    #[test]
    fn what_is_no_file_that_a_phone_shows_is_refused_by_its_name() {
        let script = OwnFile { name: "run.sh".into(), bytes: b"#!/bin/sh".to_vec() };
        assert!(wrong(vec![script], &[]).starts_with("run.sh is of no kind"));
        assert!(wrong(Vec::new(), &["http://example.com/a.jpg"]).contains("must begin with https://"));
    }
}
