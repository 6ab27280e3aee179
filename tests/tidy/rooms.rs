//! The map of the rooms: who may import whom, and what a core must not know.

use std::collections::{BTreeMap, BTreeSet};

use crate::rust::{Named, Source, paths};

/// One row of the table in `src/lib.rs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) may: BTreeSet<String>,
}

/// Crates that one room alone knows, and who else may: nobody.
const OWNED: &[(&str, &str)] = &[("rusqlite", "store"), ("axum", "web")];

/// Paths that no core names, with what they are.
const OUTSIDE: &[(&[&str], &str)] = &[
    (&["tokio"], "an async runtime"),
    (&["tokio_serial"], "a serial port"),
    (&["rusqlite"], "SQL"),
    (&["axum"], "HTTP"),
    (&["reqwest"], "HTTP"),
    (&["rustix"], "the operating system"),
    (&["rand"], "randomness"),
    (&["getrandom"], "randomness"),
    (&["std", "net"], "a socket"),
    (&["std", "fs"], "a file"),
    (&["std", "env"], "the process's environment"),
    (&["std", "process"], "the operating system"),
    (&["std", "thread"], "a thread"),
    (&["std", "time", "*"], "a clock"),
    (&["std", "time", "Instant"], "a clock"),
    (&["std", "time", "SystemTime"], "a clock"),
    (&["time", "Instant"], "a clock"),
    (&["time", "SystemTime"], "a clock"),
];

/// The rows of the table whose head begins with `| room | kind |`.
pub(crate) fn table(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().map(|l| l.trim_start_matches("//!").trim());
    lines
        .skip_while(|l| !l.starts_with("| room | kind |"))
        .skip(2)
        .take_while(|l| l.starts_with('|'))
        .map(|l| l.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

/// The rooms of `src/lib.rs`.
pub(crate) fn rooms(lib: &str) -> Vec<Room> {
    let cell = |row: &[String], n: usize| row.get(n).cloned().unwrap_or_default();
    table(lib)
        .iter()
        .map(|row| Room {
            name: cell(row, 0),
            kind: cell(row, 1),
            may: cell(row, 2).split_whitespace().map(str::to_owned).collect(),
        })
        .collect()
}

/// The table against itself and against the modules that there are.
pub(crate) fn table_faults(rooms: &[Room], modules: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let names: BTreeSet<String> = rooms.iter().map(|r| r.name.clone()).collect();
    for missing in modules.difference(&names) {
        faults.push(format!("src/lib.rs: the table has no room `{missing}`"));
    }
    for empty in names.difference(modules) {
        faults.push(format!("src/lib.rs: the table's room `{empty}` is no module"));
    }
    for room in rooms {
        if !["core", "base", "edge", "shell"].contains(&room.kind.as_str()) {
            faults.push(format!("src/lib.rs: room `{}` is of no known kind: `{}`", room.name, room.kind));
        }
        for stranger in room.may.difference(&names) {
            faults.push(format!("src/lib.rs: `{}` may import `{stranger}`, which is no room", room.name));
        }
    }
    faults
}

/// Every edge that is not in the table.
pub(crate) fn edge_faults(rooms: &[Room], sources: &[Source]) -> Vec<String> {
    let map: BTreeMap<&str, &Room> = rooms.iter().map(|r| (r.name.as_str(), r)).collect();
    let mut faults = Vec::new();
    for source in sources {
        let Some(name) = source.room() else { continue };
        let Some(room) = map.get(name) else {
            faults.push(format!("{}: no room `{name}` is in the table of src/lib.rs", source.path));
            continue;
        };
        for path in paths(source).iter().filter(|p| !p.test) {
            let [root, rest @ ..] = path.segments.as_slice() else { continue };
            if root != "crate" && root != "backroom" {
                continue;
            }
            let place = format!("{}:{}", source.path, path.line);
            match rest.first().map(String::as_str) {
                Some(to) if to == name || room.may.contains(to) => {}
                Some(to) if map.contains_key(to) => {
                    faults
                        .push(format!("{place}: `{name}` imports `{to}`, an edge that is not in the table"));
                }
                Some(to) => faults.push(format!("{place}: `{name}` names crate::{to}, which is no room")),
                None if path.import => faults.push(format!("{place}: `{name}` imports the whole crate")),
                None => {}
            }
        }
    }
    faults
}

/// The commands that let a text leave, which are made behind the gate of consent.
const HANDS: &[&str] = &["Send", "Proceed", "Post"];

/// Where they are made.
pub(crate) const GATE: &str = "src/daemon/core/gate.rs";

/// Where they are carried out, or answered for a line that died.
const TAKERS: &[&str] = &["src/at/engine.rs", "src/twilio/line.rs", "src/daemon/supervise.rs"];

/// Every other place that names a command that lets a text leave.
pub(crate) fn handing_faults(source: &Source) -> Vec<String> {
    if source.room().is_none() || source.path == GATE || TAKERS.contains(&source.path.as_str()) {
        return Vec::new();
    }
    let hands = |path: &&Named| match path.segments.as_slice() {
        [.., of, what] => of == "LineCommand" && (what == "*" || HANDS.contains(&what.as_str())),
        _ => false,
    };
    let named = paths(source).into_iter();
    named
        .filter(|path| !path.test && hands(&path))
        .map(|path| {
            let what = path.segments.last().cloned().unwrap_or_default();
            format!(
                "{}:{}: LineCommand::{what} lets a text leave: only {GATE} makes it",
                source.path, path.line
            )
        })
        .collect()
}

/// What a core knows and must not, and what only one room may know.
pub(crate) fn purity_faults(rooms: &[Room], sources: &[Source]) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for source in sources {
        let Some(name) = source.room() else { continue };
        let core = rooms.iter().any(|r| r.name == name && r.kind == "core");
        for path in paths(source).iter().filter(|p| !p.test) {
            let segments: Vec<&str> = path.segments.iter().map(String::as_str).collect();
            let written = segments.join("::");
            let place = format!("{}:{}", source.path, path.line);
            for (owned, owner) in OWNED {
                if segments.first() == Some(owned) && name != *owner && !core {
                    faults.insert(format!("{place}: `{written}` in `{name}`: only `{owner}` knows {owned}"));
                }
            }
            if !core {
                continue;
            }
            if let Some((_, what)) = OUTSIDE.iter().find(|(outside, _)| segments.starts_with(outside)) {
                faults.insert(format!("{place}: `{written}` in the core `{name}`: {what}"));
            } else if segments.last() == Some(&"now") {
                faults.insert(format!("{place}: `{written}` in the core `{name}`: a clock"));
            }
        }
    }
    faults.into_iter().collect()
}

/// The code map in the README against the table.
pub(crate) fn readme_faults(rooms: &[Room], readme: &str) -> Vec<String> {
    let shown: Vec<(String, String)> = table(readme)
        .iter()
        .map(|row| {
            let cell = |n: usize| row.get(n).map_or("", String::as_str);
            (cell(0).trim_matches('`').trim_end_matches('/').to_owned(), cell(1).to_owned())
        })
        .collect();
    let wanted: Vec<(String, String)> = rooms.iter().map(|r| (r.name.clone(), r.kind.clone())).collect();
    if shown == wanted {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (name, kind) in wanted.iter().filter(|w| !shown.contains(w)) {
        faults.push(format!("README.md: the code map has no row `{name}/` of kind {kind}"));
    }
    for (name, kind) in shown.iter().filter(|s| !wanted.contains(s)) {
        faults.push(format!("README.md: the code map's `{name}/` ({kind}) is not in src/lib.rs"));
    }
    if faults.is_empty() {
        faults.push("README.md: the code map is in another order than src/lib.rs".to_owned());
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIB: &str = "//! | room | kind | may import |\n//! |---|---|---|\n//! | types | core | |\n//! | flow | core | types |\n//! | store | edge | types flow |\n//!\n//! | other | table |\n";

    fn of(path: &str, text: &str) -> [Source; 1] {
        [Source::read(path, text)]
    }

    #[test]
    fn the_table_is_read_to_its_end() {
        let read: Vec<(String, usize)> = rooms(LIB).into_iter().map(|r| (r.name, r.may.len())).collect();
        assert_eq!(read, [("types".to_owned(), 0), ("flow".to_owned(), 1), ("store".to_owned(), 2)]);
    }

    #[test]
    fn a_room_without_a_row_and_a_row_without_a_room_are_named() {
        let modules = ["types", "flow", "web"].map(str::to_owned).into();
        let faults = table_faults(&rooms(LIB), &modules);
        assert_eq!(faults.len(), 2, "{faults:?}");
        let wrong = "| room | kind | may import |\n|---|---|---|\n| a | wall | b |";
        let faults = table_faults(&rooms(wrong), &["a".to_owned()].into());
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn an_edge_outside_the_table_is_named_however_it_is_written() {
        for text in [
            "use crate::store::Row;",
            "use crate::{types::A, store};",
            "fn f(x: crate::store::Row) {}",
            "use super::super::store::Row;",
            "mod inner { use super::super::super::store::Row; }",
            "pub use backroom::store;",
            "use crate::nowhere::X;",
            "use crate::*;",
            "use crate as all;",
            "use crate::{self, types};",
        ] {
            let faults = edge_faults(&rooms(LIB), &of("src/flow/run.rs", text));
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        }
        let faults = edge_faults(&rooms(LIB), &of("src/lost/mod.rs", ""));
        assert_eq!(faults, ["src/lost/mod.rs: no room `lost` is in the table of src/lib.rs"]);
    }

    #[test]
    fn edges_in_the_table_in_comments_and_in_tests_pass() {
        for text in [
            "use crate::types::A; use crate::flow::B; pub(crate) fn f() {}",
            "/// [`crate::store::Row`]\nfn f() {}",
            "#[cfg(test)] mod tests { use crate::store::Row; }",
            "pub(in crate::flow) fn f() { super::g() }",
            "let s = \"crate::store\";",
        ] {
            assert_eq!(edge_faults(&rooms(LIB), &of("src/flow/run.rs", text)), [""; 0], "{text}");
        }
        assert_eq!(edge_faults(&rooms(LIB), &of("src/flow/run_tests.rs", "use crate::store;")), [""; 0]);
        assert_eq!(edge_faults(&rooms(LIB), &of("src/main.rs", "use backroom::store;")), [""; 0]);
    }

    #[test]
    fn a_core_that_knows_the_outside_is_named() {
        for text in [
            "use tokio::time;",
            "use ::tokio;",
            "async fn f() { tokio::spawn(g()); }",
            "use std::{fmt, net::IpAddr};",
            "fn f() { std::fs::read(\"x\"); }",
            "use std::time::{Duration, Instant};",
            "use std::time::*;",
            "use std::time; fn f(i: time::SystemTime) {}",
            "fn f() { jiff::Zoned::now(); }",
            "fn f() { let g = Clock::now; }",
            "use rusqlite::Row;",
            "fn f() -> u8 { rand::random() }",
            "fn f() { getrandom::fill(b); }",
        ] {
            let faults = purity_faults(&rooms(LIB), &of("src/flow/run.rs", text));
            assert_eq!(faults.len(), 1, "{text}: {faults:?}");
        }
    }

    #[test]
    fn durations_inputs_and_tests_are_no_clock() {
        for text in [
            "use std::time::Duration;",
            "fn f(now: Now) { self.now(); let rand = 3; }",
            "#[cfg(test)] mod tests { fn f() { std::time::Instant::now(); } }",
            "use crate::types::time::Wall;",
        ] {
            assert_eq!(purity_faults(&rooms(LIB), &of("src/flow/run.rs", text)), [""; 0], "{text}");
        }
        assert_eq!(
            purity_faults(&rooms(LIB), &of("src/store/mod.rs", "use std::fs; use rusqlite::Row;")),
            [""; 0]
        );
    }

    #[test]
    fn a_second_way_to_hand_a_text_over_is_named() {
        let way = "fn f() { cx.after(Effect::Line(line, LineCommand::Post(post))); }";
        let faults = |path: &str, text: &str| of(path, text).iter().flat_map(handing_faults).count();
        assert_eq!(faults("src/daemon/core/campaigns.rs", way), 1);
        assert_eq!(faults("src/web/api.rs", "use crate::types::LineCommand::{self, Proceed};"), 1);
        assert_eq!(faults("src/web/api.rs", "use crate::types::LineCommand::*;"), 1);
        assert_eq!(faults(GATE, way), 0);
        assert_eq!(faults("src/daemon/core/lines.rs", "fn f() { LineCommand::Free { slot }; }"), 0);
        let test = format!("#[cfg(test)] mod tests {{ {way} }}");
        assert_eq!(faults("src/daemon/core/lines.rs", &test), 0);
    }

    #[test]
    fn only_the_store_knows_sql() {
        let lib = LIB.replace("//!\n", "//! | web | edge | types |\n//!\n");
        let faults =
            purity_faults(&rooms(&lib), &of("src/web/mod.rs", "use rusqlite::Row; use axum::Router;"));
        assert_eq!(faults.len(), 1, "{faults:?}");
    }

    #[test]
    fn a_readme_that_shows_another_map_is_named() {
        let head = "| room | kind | what |\n|---|---|---|\n";
        let good =
            format!("{head}| `types/` | core | x |\n| `flow/` | core | x |\n| `store/` | edge | x |\n");
        assert_eq!(readme_faults(&rooms(LIB), &good), [""; 0]);
        for bad in [
            String::new(),
            good.replace("| `flow/` | core | x |\n", ""),
            good.replace("`store/` | edge", "`store/` | core"),
            format!("{head}| `flow/` | core | x |\n| `types/` | core | x |\n| `store/` | edge | x |\n"),
            format!("{good}| `attic/` | core | x |\n"),
        ] {
            assert_ne!(readme_faults(&rooms(LIB), &bad), [""; 0], "{bad}");
        }
    }
}
