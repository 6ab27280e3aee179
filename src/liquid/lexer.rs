//! Template source to chunks (text, output, tag), and the markup inside `{{ }}` and `{% %}` to tokens.
//! Applies white-space control; knows no tag but `raw` and `doc`, whose bodies are not Liquid.

use super::ast::Operator;
use super::{Mode, Note, NoteKind, ParseError, Weight};

/// A piece of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chunk<'s> {
    pub(super) line: u32,
    pub(super) kind: ChunkKind<'s>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkKind<'s> {
    Text(&'s str),
    Raw(&'s str),
    Output(&'s str),
    Tag { name: &'s str, markup: &'s str },
}

/// Splits a whole template.
///
/// # Errors
/// In strict mode: `{{`, `{%`, `raw` or `doc` that is never closed; a `doc` with arguments.
pub(super) fn chunks<'s>(
    source: &'s str,
    mode: Mode,
    notes: &mut Vec<Note>,
) -> Result<Vec<Chunk<'s>>, ParseError> {
    let chunker = Chunker {
        source,
        mode,
        notes,
        at: 0,
        line: 1,
        out: Vec::new(),
        trim_next: false,
        no_output_end: false,
        no_tag_end: false,
    };
    chunker.run()
}

/// Splits the body of a `liquid` tag: a tag a line.
pub(super) fn lines(markup: &str, first_line: u32) -> Vec<Chunk<'_>> {
    let mut out = Vec::new();
    for (line, text) in (first_line..).zip(markup.split('\n')) {
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        let (name, markup) = tag_name(text);
        out.push(Chunk { line, kind: ChunkKind::Tag { name, markup } });
    }
    out
}

struct Chunker<'s, 'n> {
    source: &'s str,
    mode: Mode,
    notes: &'n mut Vec<Note>,
    at: usize,
    line: u32,
    out: Vec<Chunk<'s>>,
    trim_next: bool,
    /// No `}}` (no `%}`) follows any more: remembering it keeps the search linear.
    no_output_end: bool,
    no_tag_end: bool,
}

impl<'s> Chunker<'s, '_> {
    fn run(mut self) -> Result<Vec<Chunk<'s>>, ParseError> {
        while self.at < self.source.len() {
            let rest = self.rest();
            let Some(open) = opening(rest) else {
                self.text(rest.len());
                break;
            };
            self.text(open);
            let is_tag = self.rest().starts_with("{%");
            let known = if is_tag { self.no_tag_end } else { self.no_output_end };
            if !known && self.marked(is_tag)? {
                continue;
            }
            if !known {
                self.unclosed(is_tag)?;
            }
            self.text(2);
        }
        Ok(self.out)
    }

    /// In strict mode an error; in lax mode a note.
    fn complain(&mut self, line: u32, message: String) -> Result<(), ParseError> {
        if self.mode == Mode::Strict {
            return Err(ParseError { line, message });
        }
        self.notes.push(Note {
            line,
            weight: Weight::Error,
            kind: NoteKind::Unclosed,
            message,
            rewrite: None,
        });
        Ok(())
    }

    fn unclosed(&mut self, is_tag: bool) -> Result<(), ParseError> {
        *(if is_tag { &mut self.no_tag_end } else { &mut self.no_output_end }) = true;
        let open = if is_tag { "{%" } else { "{{" };
        self.complain(self.line, format!("`{open}` is never closed; it is printed as it is"))
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn advance(&mut self, bytes: usize) {
        let passed = self.rest().get(..bytes).unwrap_or("");
        let lines = passed.bytes().filter(|b| *b == b'\n').count();
        self.line = self.line.saturating_add(u32::try_from(lines).unwrap_or(u32::MAX));
        self.at += bytes;
    }

    fn text(&mut self, bytes: usize) {
        let mut text = self.rest().get(..bytes).unwrap_or("");
        if self.trim_next {
            text = text.trim_start_matches(is_space);
        }
        if bytes > 0 {
            self.trim_next = false;
        }
        if !text.is_empty() {
            self.out.push(Chunk { line: self.line, kind: ChunkKind::Text(text) });
        }
        self.advance(bytes);
    }

    /// Reads `{{ … }}` or `{% … %}`; false when it has no end.
    fn marked(&mut self, is_tag: bool) -> Result<bool, ParseError> {
        let body = self.rest().get(2..).unwrap_or("");
        let Some(length) = body.find(if is_tag { "%}" } else { "}}" }) else { return Ok(false) };
        let mut inner = body.get(..length).unwrap_or("");
        if let Some(stripped) = inner.strip_prefix('-') {
            inner = stripped;
            self.trim_last();
        }
        let trims_next = inner.ends_with('-');
        inner = inner.strip_suffix('-').unwrap_or(inner);
        let line = self.line;
        self.advance(length + 4);
        self.trim_next = trims_next;
        if !is_tag {
            self.out.push(Chunk { line, kind: ChunkKind::Output(inner.trim()) });
            return Ok(true);
        }
        let lead = inner.len() - inner.trim_start().len();
        let newlines = inner.get(..lead).unwrap_or("").bytes().filter(|b| *b == b'\n').count();
        let line = line.saturating_add(u32::try_from(newlines).unwrap_or(0));
        let (name, markup) = tag_name(inner.trim());
        match name {
            "raw" | "doc" => self.verbatim(name, markup, line)?,
            _ => self.out.push(Chunk { line, kind: ChunkKind::Tag { name, markup } }),
        }
        Ok(true)
    }

    /// The bodies of `raw` and `doc` end at the first end tag, whatever stands before it.
    fn verbatim(&mut self, name: &'s str, markup: &str, line: u32) -> Result<(), ParseError> {
        if !markup.is_empty() && name == "doc" && self.mode == Mode::Strict {
            return Err(ParseError { line, message: "`doc` takes no arguments".to_owned() });
        }
        let rest = self.rest();
        let found = end_tag(rest, if name == "raw" { "endraw" } else { "enddoc" });
        let end = match found {
            Some(end) => end,
            None => {
                self.complain(line, format!("`{name}` is never closed"))?;
                EndTag { start: rest.len(), end: rest.len(), trims_before: false, trims_after: false }
            }
        };
        let mut body = rest.get(..end.start).unwrap_or("");
        if name == "raw" {
            if self.trim_next {
                body = body.trim_start_matches(is_space);
            }
            if end.trims_before {
                body = body.trim_end_matches(is_space);
            }
            self.out.push(Chunk { line, kind: ChunkKind::Raw(body) });
        } else if self.mode == Mode::Strict && end_tag(body, "doc").is_some() {
            return Err(ParseError { line, message: "`doc` inside `doc`".to_owned() });
        }
        self.advance(end.end);
        self.trim_next = end.trims_after;
        Ok(())
    }

    fn trim_last(&mut self) {
        if let Some(Chunk { kind: ChunkKind::Text(text), .. }) = self.out.last_mut() {
            *text = text.trim_end_matches(is_space);
            if text.is_empty() {
                self.out.pop();
            }
        }
    }
}

struct EndTag {
    start: usize,
    end: usize,
    trims_before: bool,
    trims_after: bool,
}

/// Finds `{% name %}` with any white space and white-space control.
fn end_tag(text: &str, name: &str) -> Option<EndTag> {
    for (start, _) in text.match_indices("{%") {
        let inner = text.get(start + 2..)?;
        let (inner, trims_before) = inner.strip_prefix('-').map_or((inner, false), |rest| (rest, true));
        let Some(inner) = inner.trim_start().strip_prefix(name) else { continue };
        let inner = inner.trim_start();
        let (inner, trims_after) = inner.strip_prefix('-').map_or((inner, false), |rest| (rest, true));
        if let Some(after) = inner.strip_prefix("%}") {
            return Some(EndTag { start, end: text.len() - after.len(), trims_before, trims_after });
        }
    }
    None
}

fn opening(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    bytes.windows(2).position(|pair| pair == b"{{" || pair == b"{%")
}

fn is_space(c: char) -> bool {
    c.is_whitespace() || c == '\0'
}

/// `if a == b` to `if` and `a == b`; a comment's name is `#`.
fn tag_name(text: &str) -> (&str, &str) {
    let end = if text.starts_with('#') {
        1
    } else {
        text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len())
    };
    let (name, markup) = text.split_at(end);
    (name, markup.trim())
}

/// A token of markup: its kind and where it stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Word,
    Number,
    Text,
    Dot,
    DotDot,
    OpenBracket,
    CloseBracket,
    OpenParen,
    CloseParen,
    Pipe,
    Colon,
    Comma,
    Assign,
    Compare(Operator),
    Unknown,
}

/// Total: what is no token is [`Kind::Unknown`], a character long.
pub(super) fn tokens(markup: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut at = 0;
    // A quote that has no partner makes its later sisters partnerless too; looking once keeps this linear.
    let mut lonely = [false; 2];
    while let Some(c) = markup.get(at..).and_then(|rest| rest.chars().next()) {
        if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        }
        let rest = markup.get(at..).unwrap_or("");
        let (kind, length) = match c {
            '"' | '\'' => quoted(rest, c, &mut lonely),
            '0'..='9' => (Kind::Number, number(rest)),
            '-' if rest.get(1..).is_some_and(|r| r.starts_with(|d: char| d.is_ascii_digit())) => {
                (Kind::Number, 1 + number(rest.get(1..).unwrap_or("")))
            }
            '_' => (Kind::Word, word(rest)),
            c if c.is_alphabetic() => (Kind::Word, word(rest)),
            _ => symbol(rest, c),
        };
        out.push(Token { kind, start: at, end: at + length });
        at += length;
    }
    out
}

fn quoted(rest: &str, quote: char, lonely: &mut [bool; 2]) -> (Kind, usize) {
    let [double, single] = lonely;
    let lonely = if quote == '"' { double } else { single };
    let end = if *lonely { None } else { rest.get(1..).and_then(|r| r.find(quote)) };
    *lonely = end.is_none();
    end.map_or((Kind::Unknown, 1), |end| (Kind::Text, end + 2))
}

fn digits(text: &str) -> usize {
    text.bytes().take_while(u8::is_ascii_digit).count()
}

fn number(rest: &str) -> usize {
    let whole = digits(rest);
    match rest.get(whole..).and_then(|r| r.strip_prefix('.')).map(digits) {
        Some(fraction) if fraction > 0 => whole + 1 + fraction,
        Some(_) | None => whole,
    }
}

fn word(rest: &str) -> usize {
    let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    end + usize::from(rest.get(end..).is_some_and(|r| r.starts_with('?')))
}

fn symbol(rest: &str, first: char) -> (Kind, usize) {
    const TWO: [(&str, Kind); 6] = [
        ("..", Kind::DotDot),
        ("==", Kind::Compare(Operator::Equal)),
        ("!=", Kind::Compare(Operator::NotEqual)),
        ("<>", Kind::Compare(Operator::NotEqual)),
        ("<=", Kind::Compare(Operator::LessOrEqual)),
        (">=", Kind::Compare(Operator::GreaterOrEqual)),
    ];
    if let Some((_, kind)) = TWO.iter().find(|(text, _)| rest.starts_with(text)) {
        return (*kind, 2);
    }
    let kind = match first {
        '.' => Kind::Dot,
        '[' => Kind::OpenBracket,
        ']' => Kind::CloseBracket,
        '(' => Kind::OpenParen,
        ')' => Kind::CloseParen,
        '|' => Kind::Pipe,
        ':' => Kind::Colon,
        ',' => Kind::Comma,
        '=' => Kind::Assign,
        '<' => Kind::Compare(Operator::Less),
        '>' => Kind::Compare(Operator::Greater),
        _ => Kind::Unknown,
    };
    (kind, first.len_utf8())
}
