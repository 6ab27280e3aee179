//! Recursive descent over the tokens of one piece of markup: expressions, filters, conditions. In lax mode
//! what cannot be read is skipped with a note; in strict mode it is an error.

use std::borrow::Cow;

use super::ast::{Call, Expr, Filtered, Join, Operator, Path, Root, Step, Term, Test};
use super::filters;
use super::lexer::{Kind, Token, tokens};
use super::{Mode, Note, NoteKind, Options, Weight};

/// Brackets and ranges inside each other.
const MAX_EXPRESSION_DEPTH: usize = 20;

/// Notes of one template; a page of them is enough for anybody.
const MAX_NOTES: usize = 100;

/// What the parser knows beside the markup.
#[derive(Debug)]
pub(super) struct Surroundings {
    pub(super) options: Options,
    pub(super) notes: Vec<Note>,
    pub(super) line: u32,
    /// Variables of the loops around this markup.
    pub(super) loops: Vec<String>,
}

impl Surroundings {
    pub(super) fn note(&mut self, weight: Weight, kind: NoteKind, message: String, rewrite: Option<String>) {
        let note = Note { line: self.line, weight, kind, message, rewrite };
        if self.notes.len() < MAX_NOTES && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn is_lax(&self) -> bool {
        self.options.mode == Mode::Lax
    }
}

/// The tokens of one markup and how far they are read.
pub(super) struct Cursor<'s, 'p> {
    markup: &'s str,
    tokens: Vec<Token>,
    at: usize,
    pub(super) around: &'p mut Surroundings,
}

impl<'s, 'p> Cursor<'s, 'p> {
    pub(super) fn new(markup: &'s str, around: &'p mut Surroundings) -> Self {
        Self { markup, tokens: tokens(markup), at: 0, around }
    }

    pub(super) fn peek(&self) -> Option<Kind> {
        self.tokens.get(self.at).map(|token| token.kind)
    }

    fn peek_second(&self) -> Option<Kind> {
        self.tokens.get(self.at + 1).map(|token| token.kind)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// Text of the next token.
    pub(super) fn peek_text(&self) -> &'s str {
        self.tokens.get(self.at).and_then(|token| self.markup.get(token.start..token.end)).unwrap_or("")
    }

    pub(super) fn skip(&mut self) {
        self.at += 1;
    }

    pub(super) fn take(&mut self, kind: Kind) -> bool {
        let found = self.peek() == Some(kind);
        self.at += usize::from(found);
        found
    }

    /// Takes the word `text`.
    pub(super) fn take_word(&mut self, text: &str) -> bool {
        let found = self.peek() == Some(Kind::Word) && self.peek_text() == text;
        self.at += usize::from(found);
        found
    }

    /// `name:` when the next two tokens are that.
    pub(super) fn take_label(&mut self) -> Option<String> {
        if self.peek() == Some(Kind::Word) && self.peek_second() == Some(Kind::Colon) {
            let name = self.peek_text().to_owned();
            self.at += 2;
            return Some(name);
        }
        None
    }

    /// Source between two positions in the token list.
    pub(super) fn source(&self, from: usize, to: usize) -> &'s str {
        let start = self.tokens.get(from).map(|token| token.start);
        let end = to.checked_sub(1).and_then(|last| self.tokens.get(last)).map(|token| token.end);
        start.zip(end).and_then(|(start, end)| self.markup.get(start..end)).unwrap_or("")
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn unexpected<T>(&self) -> Result<T, String> {
        let what = shown(self.peek_text());
        if what.is_empty() {
            Err("something is missing at the end".to_owned())
        } else {
            Err(format!("unexpected `{what}`"))
        }
    }

    /// Everything must be read by now; in lax mode the rest is skipped with a note.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if self.is_at_end() {
            return Ok(());
        }
        self.junk()?;
        self.at = self.tokens.len();
        Ok(())
    }

    /// Reports the next token as not understood: an error in strict mode.
    pub(super) fn junk(&mut self) -> Result<(), String> {
        if !self.around.is_lax() {
            return self.unexpected();
        }
        let (what, markup) = (shown(self.peek_text()), shown(self.markup));
        let message = format!("`{what}` in `{markup}` is not understood and was skipped");
        self.around.note(Weight::Error, NoteKind::Syntax, message, None);
        Ok(())
    }

    /// A value and its filters; nothing at all is nil.
    pub(super) fn filtered(&mut self) -> Result<Filtered, String> {
        if self.is_at_end() {
            return Ok(Filtered::plain(Expr::Nil));
        }
        let head = self.value()?;
        let filters = self.filters()?;
        self.finish()?;
        Ok(Filtered { head, filters })
    }

    /// `| name: a, b | …`, as far as it goes.
    pub(super) fn filters(&mut self) -> Result<Vec<Call>, String> {
        let mut filters = Vec::new();
        self.expect_pipe()?;
        while self.take(Kind::Pipe) {
            if self.peek() != Some(Kind::Word) {
                self.junk()?;
                self.skip_to_pipe();
                continue;
            }
            filters.push(self.call()?);
            self.expect_pipe()?;
        }
        Ok(filters)
    }

    /// Between filters nothing but `|` may stand. Options of a `for` tag may follow the last.
    fn expect_pipe(&mut self) -> Result<(), String> {
        if self.is_at_end() || self.peek() == Some(Kind::Pipe) || self.at_loop_option() {
            return Ok(());
        }
        self.junk()?;
        self.skip_to_pipe();
        Ok(())
    }

    fn skip_to_pipe(&mut self) {
        while !self.is_at_end() && self.peek() != Some(Kind::Pipe) {
            self.skip();
        }
    }

    /// `reversed`, `limit:`, `offset:`, `cols:`.
    pub(super) fn at_loop_option(&self) -> bool {
        self.peek() == Some(Kind::Word)
            && match self.peek_text() {
                "reversed" => true,
                "limit" | "offset" | "cols" => self.peek_second() == Some(Kind::Colon),
                _ => false,
            }
    }

    fn call(&mut self) -> Result<Call, String> {
        let name = self.peek_text().to_owned();
        self.skip();
        let filter = filters::find(&name);
        let mut call = Call { name, filter, arguments: Vec::new(), named: Vec::new() };
        if filter.is_none() {
            let message = format!("there is no filter `{}`; its input passes through", call.name);
            self.around.note(Weight::Error, NoteKind::UnknownFilter, message, None);
        }
        let opens = self.at;
        if self.peek() == Some(Kind::OpenParen) {
            self.in_parentheses(&mut call, opens)?;
            return Ok(call);
        }
        if self.take(Kind::Colon) {
            self.arguments(&mut call)?;
        }
        self.check_count(&call);
        Ok(call)
    }

    /// `slice(0, 10)`: arguments in the seed dialect, else a note with what Liquid wants.
    fn in_parentheses(&mut self, call: &mut Call, opens: usize) -> Result<(), String> {
        if !self.around.is_lax() && !self.around.options.dialect.seed {
            return self.unexpected();
        }
        self.skip();
        if self.peek() != Some(Kind::CloseParen) {
            self.arguments(call)?;
        }
        let closed = self.at;
        if !self.take(Kind::CloseParen) {
            return self.unexpected();
        }
        if self.around.options.dialect.seed {
            return Ok(());
        }
        let inside = self.source(opens + 1, closed);
        let colon = if inside.is_empty() { "" } else { ": " };
        let message = format!("`{}({inside})` is not Liquid: the arguments are not used", call.name);
        let rewrite = format!("{}{colon}{inside}", call.name);
        self.around.note(Weight::Error, NoteKind::SeedDialect, message, Some(rewrite));
        call.arguments.clear();
        call.named.clear();
        Ok(())
    }

    fn arguments(&mut self, call: &mut Call) -> Result<(), String> {
        loop {
            match self.take_label() {
                Some(name) => {
                    let value = self.value()?;
                    call.named.push((name, value));
                }
                None => call.arguments.push(self.value()?),
            }
            if !self.take(Kind::Comma) || self.is_at_end() || self.peek() == Some(Kind::Pipe) {
                return Ok(());
            }
        }
    }

    fn check_count(&mut self, call: &Call) {
        let Some(filter) = call.filter else { return };
        if let Err(message) = filter.check_count(call.arguments.len()) {
            self.around.note(Weight::Error, NoteKind::Arguments, message, None);
        }
    }

    /// One value without filters.
    pub(super) fn value(&mut self) -> Result<Expr, String> {
        self.nested_value(0)
    }

    fn nested_value(&mut self, depth: usize) -> Result<Expr, String> {
        if depth > MAX_EXPRESSION_DEPTH {
            return Err("brackets are nested too deeply".to_owned());
        }
        let text = self.peek_text();
        match self.peek() {
            Some(Kind::Text) => {
                self.skip();
                let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
                Ok(Expr::Text(inner.to_owned()))
            }
            Some(Kind::Number) => {
                self.skip();
                Ok(number(text))
            }
            Some(Kind::OpenParen) => self.range(depth),
            Some(Kind::Word | Kind::OpenBracket) => self.path(depth),
            _ => self.unexpected(),
        }
    }

    fn range(&mut self, depth: usize) -> Result<Expr, String> {
        self.skip();
        let from = self.nested_value(depth + 1)?;
        if !self.take(Kind::DotDot) {
            return self.unexpected();
        }
        let to = self.nested_value(depth + 1)?;
        if !self.take(Kind::CloseParen) {
            return self.unexpected();
        }
        Ok(Expr::Range(Box::new((from, to))))
    }

    fn path(&mut self, depth: usize) -> Result<Expr, String> {
        let root = if self.take(Kind::OpenBracket) {
            Root::Named(self.bracketed(depth)?)
        } else {
            let name = self.peek_text();
            self.skip();
            let is_plain = !matches!(self.peek(), Some(Kind::Dot | Kind::OpenBracket));
            if let Some(word) = keyword(name).filter(|_| is_plain) {
                return Ok(word);
            }
            Root::Name(self.root_name(name))
        };
        let mut steps = Vec::new();
        loop {
            if self.take(Kind::OpenBracket) {
                steps.push(Step::Index(self.bracketed(depth)?));
            } else if self.take(Kind::Dot) {
                self.after_dot(depth, &mut steps)?;
            } else {
                return Ok(Expr::Path(Box::new(Path { root, steps })));
            }
        }
    }

    fn after_dot(&mut self, depth: usize, steps: &mut Vec<Step>) -> Result<(), String> {
        match self.peek() {
            Some(Kind::Word) => {
                steps.push(Step::Name(self.peek_text().to_owned()));
                self.skip();
                Ok(())
            }
            // `items.0` and `widgets.2nd_menu` mean what they look like where the mode forgives.
            Some(Kind::Number) if self.around.is_lax() => {
                let start = self.at;
                self.skip();
                while matches!(self.peek(), Some(Kind::Number | Kind::Word)) && self.touches_last() {
                    self.skip();
                }
                let names = self.source(start, self.at).split('.');
                steps.extend(names.map(|name| Step::Name(name.to_owned())));
                Ok(())
            }
            Some(Kind::OpenBracket) if self.around.is_lax() => {
                self.skip();
                steps.push(Step::Index(self.bracketed(depth)?));
                Ok(())
            }
            _ => self.unexpected(),
        }
    }

    /// No white space before the next token.
    fn touches_last(&self) -> bool {
        let last = self.at.checked_sub(1).and_then(|last| self.tokens.get(last));
        let next = self.tokens.get(self.at);
        last.zip(next).is_some_and(|(last, next)| last.end == next.start)
    }

    fn bracketed(&mut self, depth: usize) -> Result<Expr, String> {
        let inside = self.nested_value(depth + 1)?;
        if self.take(Kind::CloseBracket) { Ok(inside) } else { self.unexpected() }
    }

    /// `loop` means `forloop` in the seed dialect, unless a loop's own variable is called that.
    fn root_name(&mut self, name: &str) -> String {
        let is_alias =
            name == "loop" && !self.around.loops.is_empty() && !self.around.loops.iter().any(|v| v == "loop");
        if !is_alias {
            return name.to_owned();
        }
        if self.around.options.dialect.seed {
            return "forloop".to_owned();
        }
        let message = "`loop` is not Liquid: it is blank".to_owned();
        self.around.note(Weight::Error, NoteKind::SeedDialect, message, Some("forloop".to_owned()));
        name.to_owned()
    }

    /// `a == b and c or d`.
    pub(super) fn test(&mut self, negated: bool) -> Result<Test, String> {
        let mut terms = Vec::new();
        loop {
            let left = self.value()?;
            let right = match self.operator() {
                Some(operator) => Some((operator, self.value()?)),
                None => None,
            };
            let join = if self.take_word("and") {
                Join::And
            } else if self.take_word("or") {
                Join::Or
            } else {
                Join::End
            };
            terms.push(Term { left, right, join });
            if join == Join::End {
                break;
            }
        }
        // Half a condition is no condition: it does not hold, rather than hold by accident.
        if self.is_at_end() { Ok(Test { negated, terms }) } else { self.unexpected() }
    }

    fn operator(&mut self) -> Option<Operator> {
        match self.peek()? {
            Kind::Compare(operator) => {
                self.skip();
                Some(operator)
            }
            Kind::Word if self.peek_text() == "contains" => {
                self.skip();
                Some(Operator::Contains)
            }
            Kind::Assign if self.around.is_lax() => {
                let message = "`=` compares nothing in Liquid; it was read as `==`".to_owned();
                self.around.note(Weight::Error, NoteKind::Syntax, message, Some("==".to_owned()));
                self.skip();
                Some(Operator::Equal)
            }
            _ => None,
        }
    }

    /// The name that `assign`, `capture`, `increment` give: a word or digits, in `capture` also quoted.
    pub(super) fn target(&mut self) -> Result<String, String> {
        let text = self.peek_text();
        match self.peek() {
            Some(Kind::Word) if !text.ends_with('?') => {}
            Some(Kind::Number) if text.bytes().all(|b| b.is_ascii_digit()) => {}
            Some(Kind::Text) => {
                self.skip();
                return Ok(text.trim_matches(['"', '\'']).to_owned());
            }
            _ => return self.unexpected(),
        }
        self.skip();
        Ok(text.to_owned())
    }
}

/// Enough of a text to recognise it by; a note is no place for a whole template.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(80) {
        Some((end, _)) => Cow::Owned(format!("{}…", text.get(..end).unwrap_or(""))),
        None => Cow::Borrowed(text),
    }
}

fn keyword(name: &str) -> Option<Expr> {
    match name {
        "nil" | "null" => Some(Expr::Nil),
        "true" => Some(Expr::Bool(true)),
        "false" => Some(Expr::Bool(false)),
        "blank" => Some(Expr::Blank),
        "empty" => Some(Expr::Empty),
        _ => None,
    }
}

fn number(text: &str) -> Expr {
    if !text.contains('.')
        && let Ok(value) = text.parse()
    {
        return Expr::Int(value);
    }
    Expr::Float(text.parse().ok().filter(|value: &f64| value.is_finite()).unwrap_or(f64::MAX))
}
