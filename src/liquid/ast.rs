//! What a template is after parsing. Owns its text; knows nothing of rendering.

use super::filters::Filter;

/// Nodes in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    pub(super) nodes: Vec<Node>,
}

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: u32,
    pub(super) kind: NodeKind,
}

#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    Text(String),
    /// `raw` prints itself also where blank blocks print nothing.
    Raw(String),
    Output(Filtered),
    Assign {
        name: String,
        value: Filtered,
    },
    Capture {
        name: String,
        body: Block,
    },
    If(Vec<Branch>),
    Case {
        subject: Expr,
        arms: Vec<Arm>,
    },
    For(Box<Loop>),
    TableRow(Box<Loop>),
    Cycle {
        name: Option<Expr>,
        items: Vec<Expr>,
        key: String,
    },
    Increment(String),
    Decrement(String),
    IfChanged(Block),
    Break,
    Continue,
    Render(Box<Partial>),
    Include(Box<Partial>),
}

/// One of `if`, `elsif`, `else`; without a condition it always holds.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) test: Option<Test>,
    pub(super) body: Block,
}

/// `unless` is a negated test.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) negated: bool,
    pub(super) terms: Vec<Term>,
}

/// A comparison and how it is joined to what follows; Liquid's `and` and `or` bind from the right.
#[derive(Clone, Debug)]
pub(super) struct Term {
    pub(super) left: Expr,
    pub(super) right: Option<(Operator, Expr)>,
    pub(super) join: Join,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Contains,
}

/// One arm of `case`; `when` is `None` for `else`.
#[derive(Clone, Debug)]
pub(super) struct Arm {
    pub(super) when: Option<Vec<Expr>>,
    pub(super) body: Block,
}

/// `for` and `tablerow`.
#[derive(Clone, Debug)]
pub(super) struct Loop {
    pub(super) variable: String,
    pub(super) over: Filtered,
    /// `variable-collection`: `forloop.name`, and the key of `offset: continue`.
    pub(super) name: String,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Offset>,
    pub(super) cols: Option<Expr>,
    pub(super) reversed: bool,
    pub(super) body: Block,
    pub(super) otherwise: Block,
}

#[derive(Clone, Debug)]
pub(super) enum Offset {
    Continue,
    Of(Expr),
}

/// `render` and `include`.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    pub(super) name: Expr,
    /// `with` or `for`.
    pub(super) bound: Option<Expr>,
    pub(super) each: bool,
    pub(super) alias: Option<String>,
    pub(super) arguments: Vec<(String, Expr)>,
}

/// An expression and its filters, left to right.
#[derive(Clone, Debug)]
pub(super) struct Filtered {
    pub(super) head: Expr,
    pub(super) filters: Vec<Call>,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) name: String,
    /// `None` passes the input through.
    pub(super) filter: Option<&'static Filter>,
    pub(super) arguments: Vec<Expr>,
    pub(super) named: Vec<(String, Expr)>,
}

#[derive(Clone, Debug)]
pub(super) enum Expr {
    Nil,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    Blank,
    Empty,
    Range(Box<(Expr, Expr)>),
    Path(Box<Path>),
}

#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) root: Root,
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Debug)]
pub(super) enum Root {
    Name(String),
    /// `[expression]`.
    Named(Expr),
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// `.name`, where `size`, `first` and `last` also work.
    Name(String),
    /// `[expression]`.
    Index(Expr),
}

impl Filtered {
    pub(super) fn plain(head: Expr) -> Self {
        Self { head, filters: Vec::new() }
    }
}

impl Block {
    /// True when nothing in it can print anything but white space.
    pub(super) fn is_blank(&self) -> bool {
        self.nodes.iter().all(Node::is_blank)
    }

    /// Drops white space from a block that is blank: Liquid prints nothing for it.
    pub(super) fn drop_white_space(&mut self) {
        self.nodes.retain(|node| !matches!(node.kind, NodeKind::Text(_)));
    }
}

impl Node {
    fn is_blank(&self) -> bool {
        match &self.kind {
            NodeKind::Text(text) => text.chars().all(char::is_whitespace),
            NodeKind::Assign { .. } | NodeKind::Capture { .. } => true,
            NodeKind::If(branches) => branches.iter().all(|branch| branch.body.is_blank()),
            NodeKind::Case { arms, .. } => arms.iter().all(|arm| arm.body.is_blank()),
            NodeKind::For(it) => it.body.is_blank() && it.otherwise.is_blank(),
            NodeKind::IfChanged(body) => body.is_blank(),
            NodeKind::Raw(_)
            | NodeKind::Output(_)
            | NodeKind::TableRow(_)
            | NodeKind::Cycle { .. }
            | NodeKind::Increment(_)
            | NodeKind::Decrement(_)
            | NodeKind::Break
            | NodeKind::Continue
            | NodeKind::Render(_)
            | NodeKind::Include(_) => false,
        }
    }
}
