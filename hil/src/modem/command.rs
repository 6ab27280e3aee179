//! A command line cut into commands (V.250 §5.2, §5.4), and their parameters.

/// What stands behind the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Execute,
    /// `?`
    Read,
    /// `=?`
    Test,
    /// `=...`
    Set(String),
}

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// Upper case, with its prefix: `+CMGS`, `&F`, `E`, `D`, `S3`.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// As typed, for the log and for faults.
    pub(super) text: String,
}

/// Cuts what stands behind `AT`; a plain `AT` is one command without a name. `None`: not a command line at all.
pub(super) fn parse(body: &str) -> Option<Vec<Command>> {
    let mut commands = Vec::new();
    let mut rest = body.trim();
    while !rest.is_empty() {
        if let Some(next) = rest.strip_prefix([';', ' ']) {
            rest = next;
            continue;
        }
        let (command, next) = match rest.chars().next()? {
            '+' | '^' | '$' | '#' | '*' | '%' | '@' => extended(rest),
            'D' | 'd' => dial(rest),
            _ => basic(rest)?,
        };
        commands.push(command);
        rest = next;
    }
    if commands.is_empty() {
        commands.push(Command { name: String::new(), kind: Kind::Execute, text: String::new() });
    }
    Some(commands)
}

fn extended(text: &str) -> (Command, &str) {
    let mut quoted = false;
    let end = text
        .char_indices()
        .find(|(_, c)| {
            quoted ^= *c == '"';
            *c == ';' && !quoted
        })
        .map_or(text.len(), |(i, _)| i);
    let (text, rest) = text.split_at(end);
    let (name, kind) = match text.split_once('=') {
        Some((name, "?")) => (name, Kind::Test),
        Some((name, value)) => (name, Kind::Set(value.to_owned())),
        None => match text.strip_suffix('?') {
            Some(name) => (name, Kind::Read),
            None => (text, Kind::Execute),
        },
    };
    (Command { name: name.trim().to_ascii_uppercase(), kind, text: text.to_owned() }, rest)
}

/// `D` takes the rest of the line; the `;` behind the number says "voice".
fn dial(text: &str) -> (Command, &str) {
    let number = text.get(1..).unwrap_or_default().to_owned();
    (Command { name: "D".into(), kind: Kind::Set(number), text: text.to_owned() }, "")
}

/// `E0`, `&F`, `S3=13`, `S3?`: one letter, `&` before it, and a number.
fn basic(text: &str) -> Option<(Command, &str)> {
    let prefix = usize::from(text.starts_with(['&', '\\']));
    let letter = text.get(prefix..)?.chars().next().filter(char::is_ascii_alphabetic)?;
    let after = text.get(prefix + 1..)?;
    let digits = after.bytes().take_while(u8::is_ascii_digit).count();
    let (number, tail) = after.split_at(digits);
    let head = text.get(..=prefix)?.to_ascii_uppercase();
    let cut = |name: String, kind, used: usize| {
        let (text, rest) = text.split_at_checked(used)?;
        Some((Command { name, kind, text: text.to_owned() }, rest))
    };
    let used = prefix + 1 + digits;
    if letter.eq_ignore_ascii_case(&'S') && prefix == 0 {
        let name = format!("S{number}");
        if tail.starts_with('?') {
            return cut(name, Kind::Read, used + 1);
        }
        let value = tail.strip_prefix('=')?;
        let length = value.bytes().take_while(u8::is_ascii_digit).count();
        return cut(name, Kind::Set(value.get(..length)?.to_owned()), used + 1 + length);
    }
    let kind = if digits == 0 { Kind::Execute } else { Kind::Set(number.to_owned()) };
    cut(head, kind, used)
}

/// Comma-separated parameters of a set command; quotes are taken off, an absent one is empty.
pub(super) fn parameters(value: &str) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut quoted = false;
    for c in value.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => out.push(String::new()),
            ' ' if !quoted => {}
            c => {
                if let Some(last) = out.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    out
}

/// The number at `index`: `Ok(None)` if absent, `Err` if it is something else or above `max`.
pub(super) fn number(parameters: &[String], index: usize, max: u16) -> Result<Option<u16>, ()> {
    match parameters.get(index).map(String::as_str) {
        None | Some("") => Ok(None),
        Some(text) => text.parse().ok().filter(|n| *n <= max).map(Some).ok_or(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> Vec<(String, Kind)> {
        parse(line).unwrap().into_iter().map(|c| (c.name, c.kind)).collect()
    }

    #[test]
    fn a_line_is_cut_at_semicolons_outside_quotes() {
        assert_eq!(
            names("E0V1;+cmee=2;+CUSD=1,\"*1;2#\",15;+CSCS=?;+CREG?"),
            [
                ("E".into(), Kind::Set("0".into())),
                ("V".into(), Kind::Set("1".into())),
                ("+CMEE".into(), Kind::Set("2".into())),
                ("+CUSD".into(), Kind::Set("1,\"*1;2#\",15".into())),
                ("+CSCS".into(), Kind::Test),
                ("+CREG".into(), Kind::Read),
            ]
        );
    }

    #[test]
    fn basic_commands_need_no_separator() {
        assert_eq!(
            names("&F0E0S3=13S5?Z"),
            [
                ("&F".into(), Kind::Set("0".into())),
                ("E".into(), Kind::Set("0".into())),
                ("S3".into(), Kind::Set("13".into())),
                ("S5".into(), Kind::Read),
                ("Z".into(), Kind::Execute),
            ]
        );
        assert_eq!(parse("S3"), None);
        assert_eq!(parse("1"), None);
    }

    #[test]
    fn dialling_keeps_its_semicolon() {
        assert_eq!(names("D+12065550101;"), [("D".into(), Kind::Set("+12065550101;".into()))]);
    }

    #[test]
    fn parameters_lose_quotes_and_keep_gaps() {
        assert_eq!(parameters("\"+1,2\",,145"), ["+1,2", "", "145"]);
        assert_eq!(number(&parameters("1,,x,300"), 0, 9), Ok(Some(1)));
        assert_eq!(number(&parameters("1,,x,300"), 1, 9), Ok(None));
        assert_eq!(number(&parameters("1,,x,300"), 2, 9), Err(()));
        assert_eq!(number(&parameters("1,,x,300"), 3, 255), Err(()));
        assert_eq!(number(&parameters("1"), 7, 9), Ok(None));
    }
}
