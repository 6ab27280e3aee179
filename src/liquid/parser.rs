//! Chunks to a tree: one function a tag. In lax mode a tag that cannot be read prints nothing and leaves a
//! note, and a block that is never closed ends with its parent.

use super::ast::{Arm, Block, Branch, Expr, Filtered, Loop, Node, NodeKind, Offset, Partial, Test};
use super::budget::MAX_NESTING;
use super::cursor::{Cursor, Surroundings, shown};
use super::lexer::{self, Chunk, ChunkKind, Kind};
use super::{Mode, Note, NoteKind, Options, ParseError, Weight};

/// Larger sources are not templates.
const MAX_SOURCE: usize = 1 << 20;

/// Parses a whole template.
pub(super) fn parse(source: &str, options: Options) -> Result<(Block, Vec<Note>), ParseError> {
    if source.len() > MAX_SOURCE {
        return Err(ParseError { line: 1, message: "the template is larger than 1 MiB".to_owned() });
    }
    let mut around = Surroundings { options, notes: Vec::new(), line: 1, loops: Vec::new() };
    let chunks = lexer::chunks(source, options.mode, &mut around.notes)?;
    let mut parser = Parser { around, depth: 0 };
    let mut stream = Stream { chunks, at: 0 };
    let (root, _) = parser.block(&mut stream, None)?;
    Ok((root, parser.around.notes))
}

/// Chunks still to be read.
struct Stream<'s> {
    chunks: Vec<Chunk<'s>>,
    at: usize,
}

impl<'s> Stream<'s> {
    fn next(&mut self) -> Option<Chunk<'s>> {
        let chunk = self.chunks.get(self.at).copied();
        self.at += 1;
        chunk
    }
}

/// The block being read: its tag, and the tags that divide or end it.
#[derive(Clone, Copy)]
struct Open<'a> {
    tag: &'a str,
    line: u32,
    ends: &'a [&'a str],
}

/// The tag that ended a block.
struct End<'s> {
    name: &'s str,
    markup: &'s str,
}

struct Parser {
    around: Surroundings,
    depth: usize,
}

impl Parser {
    fn is_strict(&self) -> bool {
        self.around.options.mode == Mode::Strict
    }

    /// In strict mode an error; in lax mode a note.
    fn complain(&mut self, kind: NoteKind, message: String) -> Result<(), ParseError> {
        if self.is_strict() {
            return Err(ParseError { line: self.around.line, message });
        }
        self.around.note(Weight::Error, kind, message, None);
        Ok(())
    }

    /// Reads markup; what cannot be read is `None` in lax mode.
    fn read<'s, T>(
        &mut self,
        markup: &'s str,
        how: impl FnOnce(&mut Cursor<'s, '_>) -> Result<T, String>,
    ) -> Result<Option<T>, ParseError> {
        match how(&mut Cursor::new(markup, &mut self.around)) {
            Ok(value) => Ok(Some(value)),
            Err(message) => {
                self.complain(NoteKind::Syntax, format!("`{}`: {message}", shown(markup)))?;
                Ok(None)
            }
        }
    }

    fn block<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        open: Option<Open<'_>>,
    ) -> Result<(Block, Option<End<'s>>), ParseError> {
        let mut block = Block::default();
        while let Some(chunk) = stream.next() {
            self.around.line = chunk.line;
            let kind = match chunk.kind {
                ChunkKind::Text(text) => NodeKind::Text(text.to_owned()),
                ChunkKind::Raw("") => continue,
                ChunkKind::Raw(text) => NodeKind::Raw(text.to_owned()),
                ChunkKind::Output(markup) => match self.read(markup, |cursor| cursor.filtered())? {
                    Some(value) => NodeKind::Output(value),
                    None => continue,
                },
                ChunkKind::Tag { name, markup } => {
                    if open.is_some_and(|open| open.ends.contains(&name)) {
                        return Ok((block, Some(End { name, markup })));
                    }
                    self.tag(stream, name, markup, &mut block)?;
                    continue;
                }
            };
            block.nodes.push(Node { line: chunk.line, kind });
        }
        if let Some(open) = open {
            self.around.line = open.line;
            self.complain(NoteKind::Unclosed, format!("`{}` is never closed", open.tag))?;
        }
        Ok((block, None))
    }

    /// A block inside a tag.
    fn inner<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        tag: &str,
        ends: &[&str],
    ) -> Result<(Block, Option<End<'s>>), ParseError> {
        let line = self.around.line;
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(ParseError { line, message: format!("blocks are nested deeper than {MAX_NESTING}") });
        }
        let result = self.block(stream, Some(Open { tag, line, ends }))?;
        self.depth -= 1;
        Ok(result)
    }

    fn tag<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        name: &str,
        markup: &'s str,
        block: &mut Block,
    ) -> Result<(), ParseError> {
        let line = self.around.line;
        let kind = match name {
            "if" => Some(self.branches(stream, markup, false)?),
            "unless" => Some(self.branches(stream, markup, true)?),
            "case" => Some(self.case(stream, markup)?),
            "for" => self.looped(stream, "for", markup)?.map(NodeKind::For),
            "tablerow" => self.looped(stream, "tablerow", markup)?.map(NodeKind::TableRow),
            "assign" => self.assign(markup)?,
            "capture" => self.capture(stream, markup)?,
            "echo" => self.read(markup, |cursor| cursor.filtered())?.map(NodeKind::Output),
            "increment" => self.read(markup, named)?.map(NodeKind::Increment),
            "decrement" => self.read(markup, named)?.map(NodeKind::Decrement),
            "cycle" => self.read(markup, cycle)?,
            "ifchanged" => {
                let (mut body, _) = self.inner(stream, name, &["endifchanged"])?;
                if body.is_blank() {
                    body.drop_white_space();
                }
                Some(NodeKind::IfChanged(body))
            }
            "break" => Some(NodeKind::Break),
            "continue" => Some(NodeKind::Continue),
            "render" => self.read(markup, partial)?.map(|it| NodeKind::Render(Box::new(it))),
            "include" => self.read(markup, partial)?.map(|it| NodeKind::Include(Box::new(it))),
            "liquid" => {
                self.depth += 1;
                if self.depth > MAX_NESTING {
                    let message = format!("blocks are nested deeper than {MAX_NESTING}");
                    return Err(ParseError { line, message });
                }
                let mut lines = Stream { chunks: lexer::lines(markup, line), at: 0 };
                let (inner, _) = self.block(&mut lines, None)?;
                self.depth -= 1;
                block.nodes.extend(inner.nodes);
                None
            }
            "comment" => self.comment(stream)?,
            "#" => self.inline_comment(markup)?,
            _ => {
                let known = matches!(name, "else" | "elsif" | "when") || name.starts_with("end");
                let kind = if known { NoteKind::Unclosed } else { NoteKind::UnknownTag };
                let what = if known { "stands outside its block" } else { "is not a tag" };
                self.complain(kind, format!("`{}` {what}", shown(name)))?;
                None
            }
        };
        if let Some(kind) = kind {
            block.nodes.push(Node { line, kind });
        }
        Ok(())
    }

    /// A condition; one that cannot be read does not hold, also under `unless`.
    fn test(&mut self, markup: &str, negated: bool) -> Result<Test, ParseError> {
        let read = self.read(markup, |cursor| cursor.test(negated))?;
        Ok(read.unwrap_or_else(|| Test { negated: false, terms: Vec::new() }))
    }

    fn branches<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        markup: &'s str,
        negated: bool,
    ) -> Result<NodeKind, ParseError> {
        let (tag, close) = if negated { ("unless", "endunless") } else { ("if", "endif") };
        let mut test = Some(self.test(markup, negated)?);
        let mut branches = Vec::new();
        loop {
            let (body, end) = self.inner(stream, tag, &["elsif", "else", close])?;
            branches.push(Branch { test: test.take(), body });
            match end {
                Some(End { name: "elsif", markup }) => test = Some(self.test(markup, false)?),
                Some(End { name: "else", .. }) => test = None,
                Some(_) | None => break,
            }
        }
        if branches.iter().all(|branch| branch.body.is_blank()) {
            branches.iter_mut().for_each(|branch| branch.body.drop_white_space());
        }
        Ok(NodeKind::If(branches))
    }

    fn case<'s>(&mut self, stream: &mut Stream<'s>, markup: &'s str) -> Result<NodeKind, ParseError> {
        let subject = self.read(markup, |cursor| {
            let value = cursor.value()?;
            cursor.finish()?;
            Ok(value)
        })?;
        let mut arms = Vec::new();
        let (_, mut end) = self.inner(stream, "case", &["when", "else", "endcase"])?;
        while let Some(End { name, markup }) = end {
            let when = match name {
                // An arm that cannot be read matches nothing.
                "when" => Some(self.read(markup, when_values)?.unwrap_or_default()),
                "else" => None,
                _ => break,
            };
            let (body, next) = self.inner(stream, "case", &["when", "else", "endcase"])?;
            arms.push(Arm { when, body });
            end = next;
        }
        if arms.iter().all(|arm| arm.body.is_blank()) {
            arms.iter_mut().for_each(|arm| arm.body.drop_white_space());
        }
        Ok(NodeKind::Case { subject: subject.unwrap_or(Expr::Nil), arms })
    }

    fn looped<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        tag: &str,
        markup: &'s str,
    ) -> Result<Option<Box<Loop>>, ParseError> {
        let head = self.read(markup, |cursor| loop_head(cursor, tag == "for"))?;
        let close = if tag == "for" { "endfor" } else { "endtablerow" };
        self.around.loops.push(head.as_ref().map_or_else(String::new, |head| head.variable.clone()));
        let (body, end) = if tag == "for" {
            self.inner(stream, tag, &["else", close])?
        } else {
            self.inner(stream, tag, &[close])?
        };
        self.around.loops.pop();
        let mut otherwise = Block::default();
        let mut end = end;
        let mut first = true;
        while let Some(End { name: "else", .. }) = end {
            let (body, next) = self.inner(stream, tag, &["else", close])?;
            if std::mem::take(&mut first) {
                otherwise = body;
            }
            end = next;
        }
        let Some(mut it) = head else { return Ok(None) };
        (it.body, it.otherwise) = (body, otherwise);
        if tag == "for" && it.body.is_blank() && it.otherwise.is_blank() {
            it.body.drop_white_space();
            it.otherwise.drop_white_space();
        }
        Ok(Some(Box::new(it)))
    }

    fn assign(&mut self, markup: &str) -> Result<Option<NodeKind>, ParseError> {
        let read = self.read(markup, |cursor| {
            let name = cursor.target()?;
            if !cursor.take(Kind::Assign) {
                return Err("`assign` wants `name = value`".to_owned());
            }
            Ok((name, cursor.filtered()?))
        })?;
        Ok(read.map(|(name, value)| NodeKind::Assign { name, value }))
    }

    fn capture<'s>(
        &mut self,
        stream: &mut Stream<'s>,
        markup: &'s str,
    ) -> Result<Option<NodeKind>, ParseError> {
        let name = self.read(markup, named)?;
        let (body, _) = self.inner(stream, "capture", &["endcapture"])?;
        Ok(name.map(|name| NodeKind::Capture { name, body }))
    }

    /// Skips to the matching `endcomment`; nothing in between is parsed.
    fn comment(&mut self, stream: &mut Stream<'_>) -> Result<Option<NodeKind>, ParseError> {
        let line = self.around.line;
        let mut open = 1_usize;
        while let Some(chunk) = stream.next() {
            match chunk.kind {
                ChunkKind::Tag { name: "comment", .. } => open += 1,
                ChunkKind::Tag { name: "endcomment", .. } => open -= 1,
                ChunkKind::Tag { .. } | ChunkKind::Text(_) | ChunkKind::Raw(_) | ChunkKind::Output(_) => {}
            }
            if open == 0 {
                return Ok(None);
            }
        }
        self.around.line = line;
        self.complain(NoteKind::Unclosed, "`comment` is never closed".to_owned())?;
        Ok(None)
    }

    fn inline_comment(&mut self, markup: &str) -> Result<Option<NodeKind>, ParseError> {
        let mut later = markup.split('\n').skip(1).map(str::trim);
        if later.any(|line| !line.is_empty() && !line.starts_with('#')) {
            self.complain(NoteKind::Syntax, "every line of a `#` comment begins with `#`".to_owned())?;
        }
        Ok(None)
    }
}

fn named(cursor: &mut Cursor<'_, '_>) -> Result<String, String> {
    let name = cursor.target()?;
    cursor.finish()?;
    Ok(name)
}

/// `'a', b or 3`; what follows the last value is skipped, as Shopify does.
fn when_values(cursor: &mut Cursor<'_, '_>) -> Result<Vec<Expr>, String> {
    let mut values = vec![cursor.value()?];
    while cursor.take(Kind::Comma) || cursor.take_word("or") {
        values.push(cursor.value()?);
    }
    if !cursor.is_at_end() {
        let message = format!("`{}` in `when` was skipped", cursor.peek_text());
        cursor.around.note(Weight::Error, NoteKind::Syntax, message, None);
    }
    Ok(values)
}

fn cycle(cursor: &mut Cursor<'_, '_>) -> Result<NodeKind, String> {
    let first = cursor.value()?;
    let mut items = Vec::new();
    let name = if cursor.take(Kind::Colon) {
        Some(first)
    } else {
        items.push(first);
        cursor.take(Kind::Comma);
        None
    };
    while !cursor.is_at_end() {
        items.push(cursor.value()?);
        if !cursor.take(Kind::Comma) {
            break;
        }
    }
    cursor.finish()?;
    let key = format!("{items:?}");
    Ok(NodeKind::Cycle { name, items, key })
}

fn loop_head(cursor: &mut Cursor<'_, '_>, is_for: bool) -> Result<Loop, String> {
    if cursor.peek() != Some(Kind::Word) {
        return Err("a loop wants `variable in collection`".to_owned());
    }
    let variable = cursor.peek_text().to_owned();
    cursor.skip();
    if !cursor.take_word("in") {
        return Err("a loop wants `variable in collection`".to_owned());
    }
    let start = cursor.position();
    let head = cursor.value()?;
    let name = format!("{variable}-{}", cursor.source(start, cursor.position()));
    let filters =
        if cursor.peek() == Some(Kind::Pipe) { loop_filters(cursor, start, &variable)? } else { Vec::new() };
    let mut it = Loop {
        variable,
        over: Filtered { head, filters },
        name,
        limit: None,
        offset: None,
        cols: None,
        reversed: false,
        body: Block::default(),
        otherwise: Block::default(),
    };
    while !cursor.is_at_end() {
        if cursor.take(Kind::Comma) {
            continue;
        }
        if cursor.take_word("reversed") {
            it.reversed = is_for;
            continue;
        }
        if !cursor.at_loop_option() {
            cursor.junk()?;
            cursor.skip();
            continue;
        }
        match cursor.take_label().as_deref() {
            Some("limit") => it.limit = Some(cursor.value()?),
            Some("cols") => it.cols = Some(cursor.value()?),
            Some(_) if cursor.take_word("continue") => it.offset = Some(Offset::Continue),
            Some(_) | None => it.offset = Some(Offset::Of(cursor.value()?)),
        }
    }
    Ok(it)
}

/// Filters in a `for` tag: the seed dialect uses them, Liquid ignores them.
fn loop_filters(
    cursor: &mut Cursor<'_, '_>,
    start: usize,
    variable: &str,
) -> Result<Vec<super::ast::Call>, String> {
    if cursor.around.options.dialect.seed {
        return cursor.filters();
    }
    cursor.around.options.mode.refuse_in_strict("filters do not work in a `for` tag")?;
    let noted = cursor.around.notes.len();
    cursor.filters()?;
    // What is wrong inside filters that are not used anyway would only confuse.
    let inner = cursor.around.notes.split_off(noted);
    let filters = cursor.source(start, cursor.position());
    let rewritten = inner
        .iter()
        .filter(|note| note.kind == NoteKind::SeedDialect)
        .filter_map(|note| note.rewrite.as_deref())
        .fold(filters.to_owned(), |text, rewrite| rewrite_call(&text, rewrite));
    let rewrite = format!("{{% assign items = {rewritten} %}}{{% for {variable} in items %}}");
    let message = "filters do not work in a `for` tag: Liquid ignores them".to_owned();
    cursor.around.note(Weight::Error, NoteKind::SeedDialect, message, Some(rewrite));
    Ok(Vec::new())
}

/// Puts `slice: 0, 10` where `slice(0, 10)` stood.
fn rewrite_call(text: &str, rewrite: &str) -> String {
    let (name, arguments) = rewrite.split_once(": ").unwrap_or((rewrite, ""));
    text.replace(&format!("{name}({arguments})"), rewrite)
}

impl Mode {
    fn refuse_in_strict(self, message: &str) -> Result<(), String> {
        match self {
            Self::Lax => Ok(()),
            Self::Strict => Err(message.to_owned()),
        }
    }
}

/// `'name' with value as alias, key: value`.
fn partial(cursor: &mut Cursor<'_, '_>) -> Result<Partial, String> {
    let name = cursor.value()?;
    let mut it = Partial { name, bound: None, each: false, alias: None, arguments: Vec::new() };
    let each = cursor.take_word("for");
    if each || cursor.take_word("with") {
        it.each = each;
        it.bound = Some(cursor.value()?);
        if cursor.take_word("as") {
            it.alias = Some(cursor.target()?);
        }
    }
    loop {
        cursor.take(Kind::Comma);
        let Some(label) = cursor.take_label() else { break };
        let value = cursor.value()?;
        it.arguments.push((label, value));
    }
    cursor.finish()?;
    Ok(it)
}
