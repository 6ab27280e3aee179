//! Rust source as a list of tokens, enough to tell code from comments, text and tests. It is no parser: it knows
//! attributes, braces, paths and `use` trees, and that is all the rules ask for.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Identifier, keyword or number.
    Word,
    /// One character of punctuation, or `::`.
    Punct,
    /// A string literal, without its quotes.
    Text,
    /// A comment with its slashes.
    Comment,
    /// A character literal or a lifetime.
    Quoted,
}

#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
    /// Stands in a test.
    pub(crate) test: bool,
}

impl Token {
    pub(crate) fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Punct) && self.text == text
    }
}

/// One file.
pub(crate) struct Source {
    /// From the project's root.
    pub(crate) path: String,
    pub(crate) tokens: Vec<Token>,
    /// Paths of the modules that `#[cfg(test)] mod name;` declares: a file, or all below a directory.
    pub(crate) test_modules: Vec<String>,
}

impl Source {
    /// Reads one file's text.
    pub(crate) fn read(path: &str, text: &str) -> Self {
        let mut tokens = tokens(text);
        let test_modules = mark_tests(path, &mut tokens);
        if is_test_file(path) {
            tokens.iter_mut().for_each(|t| t.test = true);
        }
        Self { path: path.to_owned(), tokens, test_modules }
    }

    /// Tokens that run, with comments left out.
    pub(crate) fn code(&self) -> Vec<&Token> {
        self.tokens.iter().filter(|t| t.kind != Kind::Comment).collect()
    }

    /// The room that the file belongs to; none for `main.rs`, `lib.rs` and all outside `src/`.
    pub(crate) fn room(&self) -> Option<&str> {
        let first = self.path.strip_prefix("src/")?.split('/').next()?;
        let name = first.strip_suffix(".rs").unwrap_or(first);
        (name != "main" && name != "lib").then_some(name)
    }

    /// The module of the file, from the crate's root.
    fn module(&self) -> Vec<String> {
        let inner = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let mut module: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
            module.pop();
        }
        module
    }
}

/// Whether a path is a test's by its name alone.
pub(crate) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("_tests.rs") || format!("/{path}").contains("/tests/")
}

/// A path that code names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    /// `crate`, `self` and `super` are resolved: the first segment is `crate` or a foreign name.
    pub(crate) segments: Vec<String>,
    pub(crate) line: usize,
    pub(crate) test: bool,
    pub(crate) import: bool,
}

/// Every path of the file, in `use` trees and in the middle of code.
pub(crate) fn paths(source: &Source) -> Vec<Named> {
    let code = source.code();
    let file = source.module();
    let mut inline: Vec<(String, usize)> = Vec::new();
    let mut depth = 0;
    let mut found = Vec::new();
    let mut i = 0;
    while let Some(token) = code.get(i) {
        if token.is("{") {
            depth += 1;
        } else if token.is("}") {
            depth -= 1;
            while inline.last().is_some_and(|(_, d)| *d > depth) {
                inline.pop();
            }
        } else if token.is("mod") && code.get(i + 2).is_some_and(|t| t.is("{")) {
            inline.push((code[i + 1].text.clone(), depth + 1));
        }
        let start = i;
        let mut heads = Vec::new();
        let import = token.is("use") && !code.get(i + 1).is_some_and(|t| t.is("<"));
        if import {
            i = use_tree(&code, i + 1, &[], &mut heads);
        } else if token.kind == Kind::Word && !continues(&code, i) {
            let mut segments = vec![token.text.clone()];
            while code.get(i + 1).is_some_and(|t| t.is("::"))
                && let Some(next) = code.get(i + 2).filter(|t| t.kind == Kind::Word)
            {
                segments.push(next.text.clone());
                i += 2;
            }
            if segments.len() > 1 {
                heads.push(segments);
            }
            i += 1;
        } else {
            i += 1;
        }
        for segments in heads {
            let module: Vec<&str> =
                file.iter().map(String::as_str).chain(inline.iter().map(|(m, _)| m.as_str())).collect();
            let segments = resolve(&segments, &module);
            found.push(Named { segments, line: code[start].line, test: code[start].test, import });
        }
    }
    found
}

/// Whether the word at `i` is the later part of a path, or a method or field.
fn continues(code: &[&Token], i: usize) -> bool {
    let Some(before) = i.checked_sub(1).map(|n| code[n]) else { return false };
    if before.is(".") {
        // `..` is a range: `0..crate::types::MOST`.
        return !i.checked_sub(2).is_some_and(|n| code[n].is("."));
    }
    let further = i.checked_sub(2).map(|n| code[n]);
    before.is("::") && further.is_some_and(|t| t.kind == Kind::Word || t.is(">"))
}

/// Reads a `use` tree that begins at `i`; gives the index behind it.
fn use_tree(code: &[&Token], mut i: usize, prefix: &[String], out: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        let Some(token) = code.get(i) else { return i };
        if token.is("::") {
            i += 1;
        } else if token.is("{") {
            i += 1;
            while code.get(i).is_some_and(|t| !t.is("}")) {
                i = use_tree(code, i, &path, out);
                if code.get(i).is_some_and(|t| t.is(",")) {
                    i += 1;
                }
            }
            return i + 1;
        } else if token.is("as") {
            i += 2;
        } else if token.kind == Kind::Word || token.is("*") {
            path.push(token.text.clone());
            i += 1;
        } else {
            if path.len() > prefix.len() {
                out.push(path);
            }
            // `;` ends the whole import; `,` and `}` belong to the caller.
            return if token.is(";") { i + 1 } else { i };
        }
    }
}

/// Turns `self::` and `super::` at the front into a path from `crate`.
fn resolve(segments: &[String], module: &[&str]) -> Vec<String> {
    let mut base: Vec<String> = module.iter().map(|s| (*s).to_owned()).collect();
    let mut rest = segments;
    let mut relative = false;
    while let Some(first) = rest.first().filter(|s| *s == "super" || *s == "self") {
        if first == "super" {
            base.pop();
        }
        relative = true;
        rest = &rest[1..];
    }
    if !relative {
        return segments.to_vec();
    }
    let mut out = vec!["crate".to_owned()];
    out.append(&mut base);
    out.extend_from_slice(rest);
    out
}

/// The attributes of a file: their tokens between the brackets, and the line on which each begins.
pub(crate) fn attributes<'t>(code: &[&'t Token]) -> Vec<(usize, Vec<&'t Token>)> {
    let mut found = Vec::new();
    for (i, token) in code.iter().enumerate() {
        let open = if code.get(i + 1).is_some_and(|t| t.is("!")) { i + 2 } else { i + 1 };
        if token.is("#") && code.get(open).is_some_and(|t| t.is("[")) {
            let end = closing(code, open);
            found.push((token.line, code.get(open + 1..end).unwrap_or_default().to_vec()));
        }
    }
    found
}

/// The index of the bracket that closes the one at `open`.
fn closing(code: &[&Token], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, token) in code.iter().enumerate().skip(open) {
        if token.kind == Kind::Punct && matches!(token.text.as_str(), "(" | "[" | "{") {
            depth += 1;
        } else if token.kind == Kind::Punct && matches!(token.text.as_str(), ")" | "]" | "}") {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return i;
            }
        }
    }
    code.len()
}

/// Marks every item under `#[cfg(test)]` or `#[test]`; gives the paths of the modules in files of their own.
fn mark_tests(path: &str, tokens: &mut [Token]) -> Vec<String> {
    let places: Vec<usize> =
        tokens.iter().enumerate().filter(|(_, t)| t.kind != Kind::Comment).map(|(i, _)| i).collect();
    let copy: Vec<Token> = places.iter().map(|&i| tokens[i].clone()).collect();
    let code: Vec<&Token> = copy.iter().collect();
    let mut modules = Vec::new();
    let mut i = 0;
    while i < code.len() {
        let attribute = code[i].is("#") && code.get(i + 1).is_some_and(|t| t.is("["));
        if !attribute || !names_test(&code[i + 2..closing(&code, i + 1)]) {
            i += 1;
            continue;
        }
        let (end, module) = item(&code, i);
        if let Some((name, file)) = module {
            modules.push(module_path(path, &name, file.as_deref()));
        }
        for &place in &places[i..end.min(places.len())] {
            tokens[place].test = true;
        }
        i = end;
    }
    modules
}

fn names_test(attribute: &[&Token]) -> bool {
    let has = |word: &str| attribute.iter().any(|t| t.is(word));
    match attribute.first() {
        Some(first) if first.is("cfg") => has("test") && !has("not"),
        Some(_) => attribute
            .iter()
            .take_while(|t| t.kind == Kind::Word || t.is("::"))
            .last()
            .is_some_and(|t| t.is("test")),
        None => false,
    }
}

/// The end of the item whose first attribute is at `i`, and its name and `#[path]` when it is `mod name;`.
fn item(code: &[&Token], mut i: usize) -> (usize, Option<(String, Option<String>)>) {
    let mut file = None;
    while code.get(i).is_some_and(|t| t.is("#")) {
        let end = closing(code, i + 1);
        if code.get(i + 2).is_some_and(|t| t.is("path")) {
            file = code[i..end].iter().find(|t| t.kind == Kind::Text).map(|t| t.text.clone());
        }
        i = end + 1;
    }
    let words =
        ["fn", "mod", "use", "impl", "struct", "enum", "const", "static", "trait", "type", "pub", "async"];
    let whole = code.get(i).is_some_and(|t| words.iter().any(|w| t.is(w)));
    let start = i;
    while let Some(token) = code.get(i) {
        if token.is("(") || token.is("[") {
            i = closing(code, i);
        } else if token.is("{") {
            return (closing(code, i) + 1, None);
        } else if token.is(";") {
            let at = code[start..i].iter().position(|t| t.is("mod"));
            let name = at.and_then(|n| code.get(start + n + 1)).map(|t| t.text.clone());
            return (i + 1, name.map(|n| (n, file)));
        } else if token.is("}") || (token.is(",") && !whole) {
            return (i, None);
        }
        i += 1;
    }
    (i, None)
}

fn module_path(from: &str, name: &str, file: Option<&str>) -> String {
    let (directory, own) = from.rsplit_once('/').unwrap_or(("", from));
    if let Some(file) = file {
        return format!("{directory}/{file}");
    }
    match own {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{directory}/{name}"),
        _ => format!("{directory}/{}/{name}", own.trim_end_matches(".rs")),
    }
}

/// Cuts text into tokens.
fn tokens(text: &str) -> Vec<Token> {
    let mut scan = Scan { chars: text.chars().collect(), at: 0, line: 1, tokens: Vec::new() };
    while let Some(c) = scan.peek(0) {
        let (start, line) = (scan.at, scan.line);
        let kind = scan.token(c);
        if let Some(kind) = kind {
            let mut text: String = scan.chars[start..scan.at].iter().collect();
            if kind == Kind::Text {
                text = text
                    .trim_start_matches(['b', 'c', 'r', '#'])
                    .trim_end_matches('#')
                    .trim_matches('"')
                    .to_owned();
            }
            scan.tokens.push(Token { kind, text, line, test: false });
        }
    }
    scan.tokens
}

struct Scan {
    chars: Vec<char>,
    at: usize,
    line: usize,
    tokens: Vec<Token>,
}

impl Scan {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn step(&mut self) {
        if self.peek(0) == Some('\n') {
            self.line += 1;
        }
        self.at += 1;
    }

    fn steps(&mut self, count: usize) {
        (0..count).for_each(|_| self.step());
    }

    /// Goes over one token that begins with `c`; `None` for white space.
    fn token(&mut self, c: char) -> Option<Kind> {
        if c.is_whitespace() {
            self.step();
            return None;
        }
        Some(match (c, self.peek(1)) {
            ('/', Some('/')) => {
                while self.peek(0).is_some_and(|c| c != '\n') {
                    self.step();
                }
                Kind::Comment
            }
            ('/', Some('*')) => self.block(),
            ('"', _) => self.string(),
            ('b' | 'c', Some('"')) => {
                self.step();
                self.string()
            }
            ('r', Some('"' | '#')) if self.raw_ahead(1) => self.raw(1),
            ('b' | 'c', Some('r')) if self.raw_ahead(2) => self.raw(2),
            ('b', Some('\'')) => {
                self.step();
                self.quoted()
            }
            ('\'', _) => self.quoted(),
            (':', Some(':')) => {
                self.steps(2);
                Kind::Punct
            }
            _ if c.is_alphanumeric() || c == '_' => {
                while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                    self.step();
                }
                Kind::Word
            }
            _ => {
                self.step();
                Kind::Punct
            }
        })
    }

    fn block(&mut self) -> Kind {
        let mut depth = 0;
        while self.peek(0).is_some() {
            if self.peek(0) == Some('/') && self.peek(1) == Some('*') {
                depth += 1;
                self.steps(2);
            } else if self.peek(0) == Some('*') && self.peek(1) == Some('/') {
                depth -= 1;
                self.steps(2);
                if depth == 0 {
                    break;
                }
            } else {
                self.step();
            }
        }
        Kind::Comment
    }

    fn string(&mut self) -> Kind {
        self.step();
        while let Some(c) = self.peek(0) {
            self.step();
            if c == '\\' {
                self.step();
            } else if c == '"' {
                break;
            }
        }
        Kind::Text
    }

    /// Whether hashes and a quote follow; `r#name` is a word.
    fn raw_ahead(&self, from: usize) -> bool {
        (from..).find_map(|n| self.peek(n).filter(|c| *c != '#').map(|c| c == '"')).unwrap_or(false)
    }

    fn raw(&mut self, prefix: usize) -> Kind {
        self.steps(prefix);
        let mut hashes = 0;
        while self.peek(0) == Some('#') {
            hashes += 1;
            self.step();
        }
        self.step();
        while let Some(c) = self.peek(0) {
            self.step();
            if c == '"' && (0..hashes).all(|n| self.peek(n) == Some('#')) {
                self.steps(hashes);
                break;
            }
        }
        Kind::Text
    }

    /// A character, or a lifetime.
    fn quoted(&mut self) -> Kind {
        self.step();
        if self.peek(0) == Some('\\') {
            self.steps(2);
            while self.peek(0).is_some_and(|c| c != '\'') {
                self.step();
            }
            self.step();
        } else if self.peek(1) == Some('\'') {
            self.steps(2);
        } else {
            while self.peek(0).is_some_and(|c| c.is_alphanumeric() || c == '_') {
                self.step();
            }
        }
        Kind::Quoted
    }
}

#[test]
fn comments_and_text_are_not_code() {
    let source = Source::read(
        "src/a/mod.rs",
        "let x = \"use crate::b; // no\"; // crate::c\n/* crate::d /* */ */ let y = r#\"\"crate::e\"#; 'x'; '\\''; &'a str; crate::f::G",
    );
    let found: Vec<String> = paths(&source).iter().map(|p| p.segments.join("::")).collect();
    assert_eq!(found, ["crate::f::G"]);
}

#[test]
fn use_trees_are_told_apart_and_super_is_followed() {
    let text = "use crate::{types::{A, b::C as D}, flow::*};\nuse std::{fs, time::Duration};\nuse super::super::store::X;\nmod inner { use super::y; }\nfn f() -> impl Sized + use<> { super::z() }";
    let source = Source::read("src/at/pdu.rs", text);
    let found: Vec<String> = paths(&source).iter().map(|p| p.segments.join("::")).collect();
    let wanted = [
        "crate::types::A",
        "crate::types::b::C",
        "crate::flow::*",
        "std::fs",
        "std::time::Duration",
        "crate::store::X",
        "crate::at::pdu::y",
        "crate::at::z",
    ];
    assert_eq!(found, wanted);
}

#[test]
fn tests_are_marked_and_what_follows_them_is_not() {
    let text = "#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;\n#[cfg(test)] mod more;\n#[cfg(test)]\nfn a() { b(); }\nstruct S { #[cfg(test)] c: u8, d: u8 }\n#[tokio::test]\nasync fn e() {}\n#[cfg(not(test))]\nfn f() {}";
    let source = Source::read("src/at/mod.rs", text);
    assert_eq!(source.test_modules, ["src/at/x_tests.rs", "src/at/more"]);
    let of = |word: &str| source.tokens.iter().find(|t| t.is(word)).map(|t| t.test);
    assert_eq!(
        ["b", "c", "d", "e", "f"].map(of),
        [Some(true), Some(true), Some(false), Some(true), Some(false)]
    );
}
