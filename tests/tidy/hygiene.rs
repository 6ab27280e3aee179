//! What a reader may expect of every file: a head, a bounded length, no placeholder, no test that sleeps, no lint
//! silenced without a reason, nothing that holds on one machine only.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{Kind, Source, attributes, is_test_file};

/// Longest file, in lines.
pub(crate) const CEILING: usize = 900;

/// Longer files, each with why it is one.
pub(crate) const LONGER: &[(&str, &str)] = &[];

/// The one file that may call what the compiler cannot check.
pub(crate) const UNSAFE: &str = "src/daemon/heap.rs";

/// All that stands at the top level, and why.
pub(crate) const TOP: &[(&str, &str)] = &[
    ("Cargo.toml", "the workspace"),
    ("Cargo.lock", "the versions that were tested"),
    ("src", "the daemon"),
    ("hil", "simulators and the hardware-in-the-loop runner"),
    ("tests", "scenarios from outside the library"),
    ("scripts", "what people run"),
    ("systemd", "how it is run"),
    ("firmware-config", "what the box around it needs"),
    ("Cross.toml", "cross builds"),
    ("README.md", "the way in"),
    ("clippy.toml", "lints' settings; clippy looks here"),
    ("rustfmt.toml", "the format; rustfmt looks here"),
    (".gitignore", "git looks here"),
    (".ci", "what must pass"),
    (".config", "nextest looks here"),
    ("LICENSE-MIT", "the licence"),
    ("LICENSE-APACHE", "the licence"),
    ("examples", "programs that use the library from outside: conformance runs, recordings"),
];

/// Hosts that files about building and installing may name.
const HOSTS: &[&str] = &[
    "github.com",
    "rustup.rs",
    "sh.rustup.rs",
    "nexte.st",
    "127.0.0.1",
    "localhost",
    "www.apache.org",
    "api.twilio.com",
    "studio.twilio.com",
    "accounts.twilio.com",
    "content.twilio.com",
];

/// Needles are put together here, so that this file passes its own rules.
const MACHINE: &[&str] =
    &[concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
const SCRATCH: &str = concat!("/t", "mp/");
const MARKERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// A head that says something: `(room)` is none.
pub(crate) fn head_faults(path: &str, text: &str) -> Vec<String> {
    let lines = text.lines().skip_while(|l| l.trim().is_empty());
    let head: Vec<&str> =
        lines.map_while(|l| l.strip_prefix("//!")).flat_map(str::split_whitespace).collect();
    let head = head.join(" ");
    if head.is_empty() {
        vec![format!("{path}: has no `//!` head that says what it owns")]
    } else if head.starts_with('(') && head.ends_with(')') {
        vec![format!("{path}: the `//!` head holds a place and says nothing: {head}")]
    } else {
        Vec::new()
    }
}

/// Lengths, and entries of the list that are no longer needed.
pub(crate) fn length_faults(files: &BTreeMap<String, String>, longer: &[(&str, &str)]) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, text) in files {
        let lines = text.lines().count();
        if lines > CEILING && !longer.iter().any(|(p, _)| p == path) {
            faults.push(format!(
                "{path}: {lines} lines, more than {CEILING}: what in it is a file of its own?"
            ));
        }
    }
    for (path, reason) in longer {
        if files.get(*path).is_none_or(|t| t.lines().count() <= CEILING) {
            faults.push(format!("tests/tidy/hygiene.rs: {path} needs no exception any more"));
        }
        if reason.split_whitespace().count() < 3 {
            faults.push(format!("tests/tidy/hygiene.rs: {path} has an exception without a reason"));
        }
    }
    faults
}

/// Placeholders in code and in comments; what stands in quotes is somebody's text.
pub(crate) fn placeholder_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (i, token) in source.tokens.iter().enumerate() {
        let place = format!("{}:{}", source.path, token.line);
        let stub = [concat!("to", "do"), concat!("unim", "plemented")].into_iter().find(|s| token.is(s));
        if let Some(stub) = stub.filter(|_| source.tokens.get(i + 1).is_some_and(|t| t.is("!"))) {
            faults.push(format!("{place}: `{stub}!`: write it, or leave it out"));
        }
        if token.kind == Kind::Comment {
            faults.extend(marker_faults(&source.path, token.line, &token.text));
        }
    }
    faults
}

/// Markers in text that is no Rust.
pub(crate) fn marker_faults(path: &str, line: usize, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (n, text) in text.lines().enumerate() {
        for marker in MARKERS {
            // `555-XXX-1234` and `mktemp x.XXXXXX` are no markers.
            let bare = |c: Option<char>| !c.is_some_and(|c| c.is_alphanumeric() || "-_.".contains(c));
            let whole = text.match_indices(marker).any(|(at, _)| {
                bare(text[..at].chars().last()) && bare(text[at + marker.len()..].chars().next())
            });
            if whole {
                faults
                    .push(format!("{path}:{}: {marker}: do it, or say plainly what is not there", line + n));
            }
        }
    }
    faults
}

/// Sleeps in tests: they wait too long or not long enough.
pub(crate) fn sleep_faults(source: &Source) -> Vec<String> {
    let code = source.code();
    let names = ["sleep", "sleep_ms", "sleep_until"];
    code.windows(2)
        .filter(|w| w[0].test && names.iter().any(|n| w[0].is(n)) && w[1].is("("))
        .map(|w| {
            format!(
                "{}:{}: a test that sleeps: wait for the event, or move the clock",
                source.path, w[0].line
            )
        })
        .collect()
}

/// `allow` and `expect` attributes without a reason.
pub(crate) fn silenced_faults(source: &Source) -> Vec<String> {
    let mut faults = Vec::new();
    for (line, attribute) in attributes(&source.code()) {
        for (i, token) in attribute.iter().enumerate() {
            let silences = token.is("allow") || token.is("expect");
            if !silences || !attribute.get(i + 1).is_some_and(|t| t.is("(")) {
                continue;
            }
            let reasoned = attribute[i..].windows(3).any(|w| {
                w[0].is("reason") && w[1].is("=") && w[2].kind == Kind::Text && !w[2].text.is_empty()
            });
            if !reasoned {
                faults.push(format!("{}:{line}: `{}` without `reason = \"…\"`", source.path, token.text));
            }
        }
    }
    faults
}

/// Unsafe code, and what would let it be written, outside the one file that was reviewed for it.
pub(crate) fn unsafe_faults(source: &Source, reviewed: &str) -> Vec<String> {
    if source.path == reviewed {
        return Vec::new();
    }
    let code = source.code();
    let mut faults = Vec::new();
    for token in code.iter().filter(|t| t.is(concat!("un", "safe"))) {
        faults.push(format!(
            "{}:{}: unsafe code: only {reviewed} was reviewed for it",
            source.path, token.line
        ));
    }
    for (line, attribute) in attributes(&code) {
        let lint = attribute.iter().any(|t| t.is("unsafe_code"));
        if lint && attribute.iter().any(|t| ["allow", "expect", "warn"].iter().any(|word| t.is(word))) {
            faults.push(format!(
                "{}:{line}: permits unsafe code: only {reviewed} was reviewed for it",
                source.path
            ));
        }
    }
    faults
}

/// Directories of one machine. A temporary one may stand in tests: nothing is written there.
pub(crate) fn machine_faults(path: &str, text: &str) -> Vec<String> {
    let names = |line: &str, directory: &str| {
        line.match_indices(directory)
            .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "-_.~}>*".contains(c)))
    };
    let mut pieces: Vec<(usize, String, bool)> = Vec::new();
    if path.ends_with(".rs") {
        let tokens = Source::read(path, text).tokens;
        let told = tokens.into_iter().filter(|t| matches!(t.kind, Kind::Text | Kind::Comment));
        pieces.extend(told.map(|t| (t.line, t.text, t.test)));
    } else {
        let test = is_test_file(path);
        pieces.extend(text.lines().enumerate().map(|(n, l)| (n + 1, l.to_owned(), test)));
    }
    let mut faults = Vec::new();
    for (line, piece, test) in pieces {
        let found = MACHINE.iter().copied().chain((!test).then_some(SCRATCH)).find(|d| names(&piece, d));
        if let Some(directory) = found {
            faults
                .push(format!("{path}:{line}: a path under {directory}: it is another on the next machine"));
        }
    }
    faults
}

/// Hosts in the files that build and install: a mirror that one network has helps nobody else.
pub(crate) fn host_faults(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for part in line.split("://").skip(1) {
            let end = part.find(|c: char| !(c.is_alphanumeric() || "-._@".contains(c))).unwrap_or(part.len());
            let host = part[..end].trim_end_matches('.');
            let documented =
                host == "example.com" || host.ends_with(".example.com") || host.ends_with(".example");
            if !host.is_empty() && !documented && !HOSTS.contains(&host) {
                faults.push(format!("{path}:{}: names the host {host}", n + 1));
            }
        }
        let source = line.strip_prefix("source = ");
        if source.is_some_and(|s| s != "\"registry+https://github.com/rust-lang/crates.io-index\"") {
            faults.push(format!("{path}:{}: a crate from elsewhere than crates.io", n + 1));
        }
    }
    faults
}

/// Whether [`host_faults`] is asked about a file.
pub(crate) fn builds_or_installs(path: &str) -> bool {
    let directories = ["scripts/", "systemd/", "firmware-config/", ".ci/", ".config/", ".cargo/"];
    directories.iter().any(|d| path.starts_with(d))
        || path.ends_with("Cargo.toml")
        || ["Cargo.lock", "Cross.toml", "README.md"].contains(&path)
}

/// Names at the top level that were not agreed.
pub(crate) fn top_faults(names: &BTreeSet<String>) -> Vec<String> {
    let strangers = names.iter().filter(|n| !TOP.iter().any(|(known, _)| known == n));
    strangers.map(|n| format!("{n}: nothing else stands at the top level: where does it belong?")).collect()
}

/// Names under `[dependencies]`, `[dev-dependencies]` and `[build-dependencies]`.
pub(crate) fn dependencies(manifest: &str) -> BTreeSet<String> {
    let mut inside = false;
    let mut names = BTreeSet::new();
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.trim_end_matches(']').ends_with("dependencies");
        } else if inside
            && !line.starts_with('#')
            && let Some((name, _)) = line.split_once('=')
        {
            names.insert(name.trim().trim_end_matches(".workspace").to_owned());
        }
    }
    names
}

/// Dependencies without a line in the README's table, and lines without a dependency.
pub(crate) fn dependency_faults(wanted: &BTreeSet<String>, readme: &str) -> Vec<String> {
    let rows =
        readme.lines().skip_while(|l| !l.starts_with("| crate |")).skip(2).take_while(|l| l.starts_with('|'));
    let mut shown = BTreeSet::new();
    for row in rows {
        let cell = row.trim_matches('|').split('|').next().unwrap_or_default();
        shown.extend(cell.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    let missing = wanted.difference(&shown).map(|n| format!("README.md: the dependency `{n}` has no line"));
    let gone = shown.difference(wanted).map(|n| format!("README.md: `{n}` is not a dependency any more"));
    missing.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(path: &str, text: &str) -> Source {
        Source::read(path, text)
    }

    #[test]
    fn a_file_without_a_head_or_with_an_empty_one_is_named() {
        for text in ["", "use a;", "//! (room)\n", "// A plain comment here.\n", "//!\n//!\n"] {
            assert_eq!(head_faults("src/a.rs", text).len(), 1, "{text}");
        }
        assert_eq!(head_faults("src/a.rs", "\n//! # Name\n//! Says what it owns.\n"), [""; 0]);
    }

    #[test]
    fn a_long_file_needs_a_reason_and_a_reason_needs_a_long_file() {
        let long = "x\n".repeat(CEILING + 1);
        let files = BTreeMap::from([("a.rs".to_owned(), long), ("b.rs".to_owned(), "x\n".repeat(CEILING))]);
        assert_eq!(length_faults(&files, &[]).len(), 1);
        assert_eq!(length_faults(&files, &[("a.rs", "one table, generated")]), [""; 0]);
        assert_eq!(length_faults(&files, &[("a.rs", "big"), ("b.rs", "one table, generated")]).len(), 2);
        assert_eq!(
            length_faults(&files, &[("a.rs", "one table, generated"), ("c.rs", "was one table")]).len(),
            1
        );
    }

    #[test]
    fn placeholders_are_named_in_code_and_comments() {
        for text in [
            concat!("fn f() { to", "do!() }"),
            concat!("fn f() { unim", "plemented!(\"later\") }"),
            concat!("// TO", "DO: later"),
            concat!("/* a\n FIX", "ME */"),
            concat!("/// (XX", "X) odd"),
        ] {
            assert_eq!(placeholder_faults(&of("src/a.rs", text)).len(), 1, "{text}");
        }
        for text in [
            concat!("let s = \"TO", "DO\";"),
            concat!("// call 555-XX", "X-1234"),
            concat!("// file.XX", "XXXX"),
            concat!("fn to", "do() {}"),
            "// TODOS are elsewhere",
        ] {
            assert_eq!(placeholder_faults(&of("src/a.rs", text)), [""; 0], "{text}");
        }
        assert_eq!(marker_faults("scripts/x", 1, concat!("a\n# TO", "DO\n")).len(), 1);
    }

    #[test]
    fn sleeping_is_named_in_tests_alone() {
        let body = concat!("tokio::time::sle", "ep(d).await;");
        assert_eq!(sleep_faults(&of("tests/a.rs", body)).len(), 1);
        assert_eq!(sleep_faults(&of("src/a_tests.rs", body)).len(), 1);
        assert_eq!(sleep_faults(&of("src/a.rs", &format!("#[test]\nfn f() {{ {body} }}"))).len(), 1);
        assert_eq!(
            sleep_faults(&of("src/a.rs", &format!("fn f() {{ {body} }} #[test] fn g() {{}}"))),
            [""; 0]
        );
        assert_eq!(sleep_faults(&of("tests/a.rs", "// sleep(1)\nfn sleep_is_long() {}")), [""; 0]);
    }

    #[test]
    fn a_silenced_lint_without_a_reason_is_named() {
        for text in [
            "#[allow(dead_code)] fn f() {}",
            "#![expect(clippy::panic)]",
            "#[cfg_attr(test, allow(unused))] fn f() {}",
            "#[expect(clippy::a, reason = \"\")] fn f() {}",
        ] {
            assert_eq!(silenced_faults(&of("src/a.rs", text)).len(), 1, "{text}");
        }
        for text in [
            "#[expect(clippy::a, reason = \"because it is the table\")] fn f() {}",
            "fn f() { x.expect(\"there\"); allow(y); }",
            "// #[allow(dead_code)]",
        ] {
            assert_eq!(silenced_faults(&of("src/a.rs", text)), [""; 0], "{text}");
        }
    }

    #[test]
    fn unsafe_code_elsewhere_is_named() {
        for text in [
            "fn f() { unsafe { g() } }",
            "#![allow(unsafe_code)]",
            "#[expect(unsafe_code, reason = \"quick\")] fn f() {}",
            "#[cfg(test)] mod tests { unsafe fn f() {} }",
        ] {
            assert_eq!(unsafe_faults(&of("src/a.rs", text), "src/b.rs").len(), 1, "{text}");
            assert_eq!(unsafe_faults(&of("src/b.rs", text), "src/b.rs"), [""; 0], "{text}");
        }
        for text in ["#![forbid(unsafe_code)]", "// unsafe { g() }", "let s = \"unsafe\";"] {
            assert_eq!(unsafe_faults(&of("src/a.rs", text), "src/b.rs"), [""; 0], "{text}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_named() {
        let (own, scratch) = (concat!("/ho", "me/pat/x"), concat!("/t", "mp/x"));
        assert_eq!(machine_faults("scripts/x", &format!("cd {own}")).len(), 1);
        assert_eq!(machine_faults("tests/x.rs", &format!("let p = \"{own}\";")).len(), 1);
        assert_eq!(machine_faults("src/x.rs", &format!("let p = \"{scratch}\";")).len(), 1);
        assert_eq!(machine_faults("tests/x.rs", &format!("let p = \"{scratch}\";")), [""; 0]);
        let inside = format!("#[cfg(test)]\nmod tests {{ const P: &str = \"{scratch}\"; }}");
        assert_eq!(machine_faults("src/x.rs", &inside), [""; 0]);
        assert_eq!(
            machine_faults("README.md", &format!("https://shop.example{own} a{scratch} ~{own}")),
            [""; 0]
        );
    }

    #[test]
    fn hosts_and_crates_from_elsewhere_are_named() {
        assert_eq!(host_faults("scripts/x", "curl https://mirror.corp:8080/y").len(), 1);
        assert_eq!(host_faults("Cargo.lock", "source = \"registry+https://mirror.corp/index\"").len(), 2);
        assert_eq!(host_faults("Cargo.lock", "source = \"git+https://github.com/a/b\"").len(), 1);
        let good = "source = \"registry+https://github.com/rust-lang/crates.io-index\"\n# https://rustup.rs.\nhttps://api.dealer.example/v1\nhttp://$host/";
        assert_eq!(host_faults("Cargo.lock", good), [""; 0]);
    }

    #[test]
    fn a_stranger_at_the_top_is_named() {
        let names = ["Cargo.toml", "docs", "notes.md"].map(str::to_owned).into();
        assert_eq!(top_faults(&names).len(), 2);
    }

    #[test]
    fn dependencies_and_their_lines_agree() {
        let manifest = "[package]\nname = \"x\"\n[dependencies]\na = \"1\"\n# b = \"1\"\nc-d = { version = \"1\" }\n[dev-dependencies]\ne.workspace = true\n[lints]\nworkspace = true\n";
        let wanted = dependencies(manifest);
        assert_eq!(wanted, ["a", "c-d", "e"].map(str::to_owned).into());
    }

    #[test]
    fn a_dependency_without_a_line_and_a_line_without_one_are_named() {
        let wanted = ["a", "c-d", "e"].map(str::to_owned).into();
        let readme = "| crate | for |\n|---|---|\n| `a`, `c-d` | x `y` |\n| `e` | x |\n\n| `z` |";
        assert_eq!(dependency_faults(&wanted, readme), [""; 0]);
        assert_eq!(dependency_faults(&wanted, &readme.replace("`e`", "`f`")).len(), 2);
    }
}
