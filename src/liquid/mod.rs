//! The Liquid template language, lax as Studio's.
//!
//! Parse once ([`Template::parse`]), render often ([`Template::render`]); [`render`] does both and never
//! fails, [`lint`] says what a template's author should change. Globals are borrowed JSON: look-ups copy
//! nothing.
//!
//! Two modes. [`Mode::Lax`] is what customers' texts are rendered with: a missing variable is blank, an
//! unknown filter passes its input through, a filter that fails gives blank, arrays and objects print as JSON,
//! broken syntax is skipped; what was wrong leaves a [`Note`]. [`Mode::Strict`] follows the Shopify
//! implementation: broken syntax and failing filters are errors, and an array prints as its items without
//! separators. Missing variables are blank and unknown filters pass through in both.
//!
//! Nothing here can run away: [`Limits`] bounds steps, output, list sizes, loop lengths and nesting. Time and
//! zone are handed in.
//!
//! Deliberately absent: files (partials come from a map), clocks, custom tags, HTML auto-escape.

mod ast;
mod budget;
mod cursor;
mod date;
mod filters;
mod lexer;
mod loops;
mod number;
mod parser;
mod partials;
mod run;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;

use serde_json::Value as Json;

use crate::types::Wall;

pub use budget::Limits;

/// How forgiving parsing and rendering are. See the head of this module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// As Studio: render something sensible, and note what was wrong.
    #[default]
    Lax,
    /// As Shopify's strict parser: what is wrong is an error.
    Strict,
}

/// Which departures from Liquid are understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialect {
    /// `name(args)` as `name: args`, filters in a `for` tag, and `loop` as another name of `forloop`.
    pub seed: bool,
}

/// How a template is parsed and rendered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Lax unless said otherwise.
    pub mode: Mode,
    /// Plain Liquid unless said otherwise.
    pub dialect: Dialect,
}

impl Options {
    /// Lax, with the seed dialect.
    #[must_use]
    pub fn seed() -> Self {
        Self { mode: Mode::Lax, dialect: Dialect { seed: true } }
    }

    /// [`Mode::Strict`], plain Liquid.
    #[must_use]
    pub fn strict() -> Self {
        Self { mode: Mode::Strict, dialect: Dialect { seed: false } }
    }
}

/// Why a template could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ParseError {
    /// From 1.
    pub line: u32,
    /// For the template's author.
    pub message: String,
}

/// Why rendering stopped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// More work than [`Limits::steps`] allows. In both modes.
    #[error("line {line}: the template does more than {steps} steps")]
    Steps {
        /// From 1.
        line: u32,
        /// The limit.
        steps: u64,
    },
    /// More text than [`Limits::output_bytes`] allows. In both modes.
    #[error("line {line}: the text is longer than {bytes} bytes")]
    Output {
        /// From 1.
        line: u32,
        /// The limit.
        bytes: usize,
    },
    /// Blocks and partials inside each other, deeper than [`Limits::depth`] allows. In both modes.
    #[error("line {line}: blocks and partials are nested deeper than {depth}")]
    Depth {
        /// From 1.
        line: u32,
        /// The limit.
        depth: usize,
    },
    /// A filter, comparison, tag or partial failed. Only in [`Mode::Strict`]; a note in [`Mode::Lax`].
    #[error("line {line}: {message}")]
    Failed {
        /// From 1.
        line: u32,
        /// For the template's author.
        message: String,
    },
}

/// How much a [`Note`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Works, and will surprise somebody.
    Warning,
    /// Does not do what its author meant.
    Error,
}

/// What kind of trouble a [`Note`] tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NoteKind {
    /// A tag or expression that is not Liquid; it was skipped.
    Syntax,
    /// A block without its end tag, an end tag without its block, `{{` without `}}`.
    Unclosed,
    /// A tag that does not exist; it printed nothing.
    UnknownTag,
    /// A filter that does not exist; its input passed through.
    UnknownFilter,
    /// A filter with too few or too many arguments.
    Arguments,
    /// What only the seed dialect understands; [`Note::rewrite`] says it in Liquid.
    SeedDialect,
    /// A filter, comparison or partial failed while rendering.
    Failed,
    /// A limit of Studio or of [`Limits`] was passed.
    Limit,
}

/// What a template's author should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// From 1.
    pub line: u32,
    /// How much it matters.
    pub weight: Weight,
    /// What it is about.
    pub kind: NoteKind,
    /// One sentence.
    pub message: String,
    /// What to write instead, where that is known.
    pub rewrite: Option<String>,
}

/// A parsed template. Holds no borrowed source; may be kept and shared.
#[derive(Clone, Debug)]
pub struct Template {
    root: ast::Block,
    options: Options,
    notes: Vec<Note>,
}

/// Named templates for `render` and `include`.
#[derive(Clone, Debug, Default)]
pub struct Partials(BTreeMap<String, Result<Template, ParseError>>);

impl Partials {
    /// Parses each. One that is broken is an error only where it is used.
    #[must_use]
    pub fn parse<'s>(sources: impl IntoIterator<Item = (&'s str, &'s str)>, options: &Options) -> Self {
        Self(
            sources
                .into_iter()
                .map(|(name, text)| (name.to_owned(), Template::parse(text, options)))
                .collect(),
        )
    }
}

/// What a template is rendered against.
#[derive(Clone, Debug)]
pub struct RenderContext<'a> {
    /// An object; anything else is taken as empty. Borrowed, never copied.
    pub globals: &'a Json,
    /// Zone of dates without an offset, and of every date that is printed.
    pub zone: jiff::tz::TimeZone,
    /// What `now` and `today` mean.
    pub now: Wall,
    /// Bounds of this rendering.
    pub limits: Limits,
    /// For `render` and `include`.
    pub partials: Option<&'a Partials>,
}

impl<'a> RenderContext<'a> {
    /// With the default limits and no partials.
    #[must_use]
    pub fn new(globals: &'a Json, zone: jiff::tz::TimeZone, now: Wall) -> Self {
        Self { globals, zone, now, limits: Limits::default(), partials: None }
    }
}

/// A text and what there is to say about it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rendered {
    /// What was rendered; up to the point where a limit was passed, if one was.
    pub text: String,
    /// Of parsing and of rendering.
    pub notes: Vec<Note>,
}

impl Template {
    /// Parses `source`.
    ///
    /// # Errors
    /// In [`Mode::Lax`] only when the source is larger than 1 MiB or its blocks are nested deeper than 40; in
    /// [`Mode::Strict`] also for any syntax error, unknown tag or missing end tag.
    pub fn parse(source: &str, options: &Options) -> Result<Self, ParseError> {
        let (root, notes) = parser::parse(source, *options)?;
        Ok(Self { root, options: *options, notes })
    }

    /// What parsing had to say: syntax that was skipped, unknown filters, seed dialect.
    #[must_use]
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The text.
    ///
    /// # Errors
    /// A limit was passed; in [`Mode::Strict`] also when a filter, comparison or partial fails.
    pub fn render(&self, context: &RenderContext<'_>) -> Result<String, RenderError> {
        self.render_with_notes(context).map(|(text, _)| text)
    }

    /// The text and the notes of this rendering (not those of [`Template::notes`]).
    ///
    /// # Errors
    /// As [`Template::render`].
    pub fn render_with_notes(&self, context: &RenderContext<'_>) -> Result<(String, Vec<Note>), RenderError> {
        let (text, notes, end) = run::render(&self.root, self.options.mode, context);
        end.map(|()| (text, notes))
    }

    /// Never fails: a text cut short by an error keeps what came before it, and the error is a note.
    #[must_use]
    pub fn render_anyway(&self, context: &RenderContext<'_>) -> Rendered {
        let (text, run_notes, end) = run::render(&self.root, self.options.mode, context);
        let mut notes = self.notes.clone();
        notes.extend(run_notes.into_iter().filter(|note| !self.notes.contains(note)));
        if let Err(error) = end {
            notes.push(note_of(&error));
        }
        Rendered { text, notes }
    }
}

/// Parses and renders, and never fails. A template that cannot be parsed gives an empty text (its source is
/// nothing that a customer should read) and the error as a note.
#[must_use]
pub fn render(source: &str, options: &Options, context: &RenderContext<'_>) -> Rendered {
    match Template::parse(source, options) {
        Ok(template) => template.render_anyway(context),
        Err(error) => Rendered { text: String::new(), notes: vec![note_of_parse(error)] },
    }
}

/// What the author of `source` should change, as plain Liquid in [`Mode::Lax`]: unknown tags and filters, wrong
/// numbers of arguments, missing end tags, and the seed dialect with its rewrite.
#[must_use]
pub fn lint(source: &str) -> Vec<Note> {
    match Template::parse(source, &Options::default()) {
        Ok(template) => template.notes,
        Err(error) => vec![note_of_parse(error)],
    }
}

fn note_of_parse(error: ParseError) -> Note {
    let ParseError { line, message } = error;
    Note { line, weight: Weight::Error, kind: NoteKind::Syntax, message, rewrite: None }
}

fn note_of(error: &RenderError) -> Note {
    let (line, kind) = match error {
        RenderError::Steps { line, .. }
        | RenderError::Output { line, .. }
        | RenderError::Depth { line, .. } => (*line, NoteKind::Limit),
        RenderError::Failed { line, .. } => (*line, NoteKind::Failed),
    };
    Note { line, weight: Weight::Error, kind, message: error.to_string(), rewrite: None }
}
