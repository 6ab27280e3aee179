//! What one rendering may use, and the faults that its parts report. Every loop over data and every text that
//! is built is charged here, so a hostile template ends early instead of filling the memory.

use super::RenderError;

/// Bounds of one rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Units of work: a node, a filter, a list item, 128 bytes of text. Passing it ends the rendering.
    pub steps: u64,
    /// Bytes of the result, and of any text built on the way. Passing it ends the rendering.
    pub output_bytes: usize,
    /// Iterations of one loop; in lax mode the rest of the items is left out, with a note.
    pub loop_iterations: usize,
    /// Studio stops at this many; more get a note.
    pub loop_note: usize,
    /// Items of a list that a filter builds.
    pub list_items: usize,
    /// Blocks and partials inside each other.
    pub depth: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            steps: 100_000,
            output_bytes: 256 * 1024,
            loop_iterations: 1_000,
            loop_note: 15,
            list_items: 10_000,
            depth: MAX_NESTING + 20,
        }
    }
}

/// Deepest nesting that the parser accepts: the stack of a small worker thread must hold it.
pub(super) const MAX_NESTING: usize = 40;

/// So much text costs a step to build, read or print: about what a node costs.
pub(super) const BYTES_PER_STEP: usize = 128;

/// What went wrong inside an expression, a filter or a writer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Too few or too many arguments: in lax mode the input passes through.
    Arguments(String),
    /// The value cannot be worked with: in lax mode the result is blank.
    Value(String),
    /// Ends the rendering in both modes.
    Steps,
    /// Ends the rendering in both modes.
    Output,
    /// Ends the rendering in both modes.
    Depth,
}

impl Fault {
    pub(super) fn value<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Value(message.into()))
    }

    pub(super) fn into_error(self, line: u32, limits: &Limits) -> RenderError {
        match self {
            Self::Arguments(message) | Self::Value(message) => RenderError::Failed { line, message },
            Self::Steps => RenderError::Steps { line, steps: limits.steps },
            Self::Output => RenderError::Output { line, bytes: limits.output_bytes },
            Self::Depth => RenderError::Depth { line, depth: limits.depth },
        }
    }
}

/// What is left of the limits.
#[derive(Debug)]
pub(super) struct Budget {
    pub(super) limits: Limits,
    steps: u64,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, steps: limits.steps }
    }

    pub(super) fn charge(&mut self, steps: usize) -> Result<(), Fault> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        self.steps = self.steps.checked_sub(steps).ok_or(Fault::Steps)?;
        Ok(())
    }

    /// Asks before a text of that size is built.
    pub(super) fn text(&mut self, bytes: usize) -> Result<(), Fault> {
        if bytes > self.limits.output_bytes {
            return Fault::value(format!("a text of {bytes} bytes is too long"));
        }
        self.charge(bytes / BYTES_PER_STEP)
    }

    /// Asks before a list of that size is built or walked.
    pub(super) fn list(&mut self, items: usize) -> Result<(), Fault> {
        if items > self.limits.list_items {
            return Fault::value(format!("a list of {items} items is too long"));
        }
        self.charge(items / 4)
    }
}

/// A text that refuses to grow past its bound.
#[derive(Debug)]
pub(super) struct Bounded {
    text: String,
    room: usize,
}

impl Bounded {
    pub(super) fn new(room: usize) -> Self {
        Self { text: String::new(), room }
    }

    pub(super) fn push(&mut self, text: &str) -> Result<(), Fault> {
        if self.text.len().saturating_add(text.len()) > self.room {
            return Err(Fault::Output);
        }
        self.text.push_str(text);
        Ok(())
    }

    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        self.push(text).map_err(|_| std::io::Error::other("full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
