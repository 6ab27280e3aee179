//! Keeps the project as its documents say it is: the map of the rooms in `src/lib.rs`, pure cores, heads, lengths,
//! no placeholders, no sleeping tests, no silenced lint without a reason, nothing that only one machine has.
//!
//! Every rule is a function from text to faults, tested against bad snippets beside it (`tests/tidy/`). When a rule
//! here is in the way of something right, change the rule in the same commit and say why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

#[path = "tidy/hygiene.rs"]
mod hygiene;
#[path = "tidy/rooms.rs"]
mod rooms;
#[path = "tidy/rust.rs"]
mod rust;

use rust::Source;

/// The project's text files by path from its root, without what `.gitignore` names.
struct Tree {
    files: BTreeMap<String, String>,
    top: BTreeSet<String>,
}

impl Tree {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut tree = Self { files: BTreeMap::new(), top: BTreeSet::new() };
        tree.walk(root, "", &ignored);
        tree
    }

    fn walk(&mut self, directory: &Path, prefix: &str, ignored: &str) {
        for entry in fs::read_dir(directory).expect("a directory can be listed") {
            let entry = entry.expect("an entry can be read");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if path == ".git" || ignored.lines().any(|pattern| is_ignored(pattern, &path)) {
                continue;
            }
            if prefix.is_empty() {
                self.top.insert(name);
            }
            if entry.path().is_dir() {
                self.walk(&entry.path(), &format!("{path}/"), ignored);
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                self.files.insert(path, text);
            }
        }
    }

    fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    fn rust(&self) -> impl Iterator<Item = (&String, &String)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs"))
    }

    /// The Rust files, with the modules that only tests declare marked as tests.
    fn sources(&self) -> Vec<Source> {
        let mut sources: Vec<Source> = self.rust().map(|(path, text)| Source::read(path, text)).collect();
        let tests: Vec<String> = sources.iter().flat_map(|s| s.test_modules.clone()).collect();
        for source in &mut sources {
            let own = source.path.trim_end_matches(".rs");
            let test = tests.iter().any(|t| {
                let t = t.trim_end_matches(".rs");
                own == t || own.strip_prefix(t).is_some_and(|rest| rest.starts_with('/'))
            });
            source.tokens.iter_mut().for_each(|t| t.test |= test);
        }
        sources
    }
}

/// Patterns as this project writes them: from the root with a slash in front, and one `*` or several.
fn is_ignored(pattern: &str, path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    match pattern.strip_prefix('/') {
        Some(rooted) => matches(rooted.trim_end_matches('/'), path),
        None => {
            !pattern.is_empty() && !pattern.starts_with('#') && matches(pattern.trim_end_matches('/'), name)
        }
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    let Some((front, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(behind) = text.strip_prefix(front) else { return false };
    let reach = behind.find('/').unwrap_or(behind.len());
    (0..=reach).filter(|at| behind.is_char_boundary(*at)).any(|at| matches(rest, &behind[at..]))
}

fn none(faults: &[String]) {
    assert!(faults.is_empty(), "{} to put right:\n{}\n", faults.len(), faults.join("\n"));
}

#[test]
fn the_rooms_are_the_modules_that_there_are() {
    let tree = Tree::read();
    let modules =
        tree.rust().filter_map(|(path, _)| Source::read(path, "").room().map(str::to_owned)).collect();
    none(&rooms::table_faults(&rooms::rooms(tree.text("src/lib.rs")), &modules));
}

#[test]
fn every_edge_is_in_the_table() {
    let tree = Tree::read();
    none(&rooms::edge_faults(&rooms::rooms(tree.text("src/lib.rs")), &tree.sources()));
}

#[test]
fn the_rules_see_the_code() {
    let sources = Tree::read().sources();
    let edges = sources.iter().filter(|s| s.room().is_some()).flat_map(rust::paths);
    let counted = edges.filter(|p| !p.test && p.segments.first().is_some_and(|s| s == "crate")).count();
    let tests = sources.iter().filter(|s| s.tokens.iter().any(|t| t.test)).count();
    assert!(counted > 50 && tests > 10, "{counted} edges and {tests} files with tests were found");
}

#[test]
fn cores_know_no_runtime_socket_file_sql_clock_or_chance() {
    let tree = Tree::read();
    none(&rooms::purity_faults(&rooms::rooms(tree.text("src/lib.rs")), &tree.sources()));
}

#[test]
fn a_text_is_handed_to_a_line_behind_the_gate_of_consent_alone() {
    let sources = Tree::read().sources();
    none(&sources.iter().flat_map(rooms::handing_faults).collect::<Vec<_>>());
    assert!(sources.iter().any(|s| s.path == rooms::GATE), "{} is where texts are handed over", rooms::GATE);
}

#[test]
fn the_simulators_do_not_depend_on_the_daemon() {
    let tree = Tree::read();
    let hil = hygiene::dependencies(tree.text("hil/Cargo.toml"));
    assert!(
        !hil.is_empty() && !hil.contains("backroom"),
        "a mistake must not hide by being made twice: {hil:?}"
    );
}

#[test]
fn the_readme_shows_the_same_map() {
    let tree = Tree::read();
    none(&rooms::readme_faults(&rooms::rooms(tree.text("src/lib.rs")), tree.text("README.md")));
}

#[test]
fn every_dependency_has_its_line_in_the_readme() {
    let tree = Tree::read();
    let mut wanted = hygiene::dependencies(tree.text("Cargo.toml"));
    wanted.append(&mut hygiene::dependencies(tree.text("hil/Cargo.toml")));
    wanted.remove("hil");
    none(&hygiene::dependency_faults(&wanted, tree.text("README.md")));
}

#[test]
fn every_source_file_says_what_it_owns() {
    let tree = Tree::read();
    none(&tree.rust().flat_map(|(path, text)| hygiene::head_faults(path, text)).collect::<Vec<_>>());
}

#[test]
fn no_file_is_too_long_to_read() {
    let mut files = Tree::read().files;
    files.retain(|path, _| path.ends_with(".rs") || path.starts_with("scripts/"));
    none(&hygiene::length_faults(&files, hygiene::LONGER));
}

#[test]
fn nothing_is_left_for_later() {
    let tree = Tree::read();
    let mut faults: Vec<String> = tree.sources().iter().flat_map(hygiene::placeholder_faults).collect();
    let others = tree.files.iter().filter(|(path, _)| {
        let data =
            path.starts_with("LICENSE") || path.as_str() == "Cargo.lock" || path.contains("/fixtures/");
        !path.ends_with(".rs") && !data
    });
    faults.extend(others.flat_map(|(path, text)| hygiene::marker_faults(path, 1, text)));
    none(&faults);
}

#[test]
fn no_test_sleeps() {
    none(&Tree::read().sources().iter().flat_map(hygiene::sleep_faults).collect::<Vec<_>>());
}

#[test]
fn every_silenced_lint_has_a_reason() {
    none(&Tree::read().sources().iter().flat_map(hygiene::silenced_faults).collect::<Vec<_>>());
}

#[test]
fn one_file_alone_is_unsafe() {
    let sources = Tree::read().sources();
    none(&sources.iter().flat_map(|s| hygiene::unsafe_faults(s, hygiene::UNSAFE)).collect::<Vec<_>>());
    assert!(
        sources.iter().any(|s| s.path == hygiene::UNSAFE && !hygiene::unsafe_faults(s, "").is_empty()),
        "{} is not unsafe any more: forbid it everywhere",
        hygiene::UNSAFE
    );
}

#[test]
fn nothing_names_one_machine() {
    let tree = Tree::read();
    none(&tree.files.iter().flat_map(|(path, text)| hygiene::machine_faults(path, text)).collect::<Vec<_>>());
}

#[test]
fn what_builds_and_installs_names_no_mirror() {
    let tree = Tree::read();
    let files = tree.files.iter().filter(|(path, _)| hygiene::builds_or_installs(path));
    none(&files.flat_map(|(path, text)| hygiene::host_faults(path, text)).collect::<Vec<_>>());
}

#[test]
fn nothing_unagreed_stands_at_the_top() {
    none(&hygiene::top_faults(&Tree::read().top));
}

#[test]
fn ignored_files_are_left_out() {
    for (pattern, path) in [("/target", "target"), ("*.snap.new", "src/a.snap.new"), ("/*.db*", "x.db-wal")] {
        assert!(is_ignored(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in [("/target", "src/target"), ("", "a"), ("# a", "# a"), ("/*.db*", "src/x.db")] {
        assert!(!is_ignored(pattern, path), "{pattern} {path}");
    }
}
