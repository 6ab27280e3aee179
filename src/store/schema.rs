//! Numbered migrations, each committed together with its number. Expand-only: a migration of the same major adds,
//! so that the version before still works on the file and an upgrade can be taken back.

use std::path::Path;

use rusqlite::Connection;

use super::StoreError;
use crate::types::Wall;

/// `BKRM`: marks the file as ours.
const APPLICATION: i32 = 0x424b_524d;

struct Migration {
    /// From 1, without gaps.
    number: u32,
    /// An older binary must keep off when this is greater than the major that it knows.
    major: u32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] =
    &[Migration { number: 1, major: 1, name: "first", sql: include_str!("schema/0001_first.sql") }];

/// The newest migration and the major that this binary knows.
pub(super) fn known() -> Version {
    MIGRATIONS.last().map_or(Version::default(), |m| Version { number: m.number, major: m.major })
}

/// How far a file has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Version {
    pub(super) number: u32,
    pub(super) major: u32,
}

/// Reads the version of a file; the default when it is empty.
pub(super) fn found(conn: &Connection, path: &Path) -> Result<Version, StoreError> {
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        return Ok(Version::default());
    }
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    if application != APPLICATION {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    Ok(conn.query_row("SELECT max(number), max(major) FROM schema_version", [], |row| {
        Ok(Version { number: row.get(0)?, major: row.get(1)? })
    })?)
}

/// Brings the file up to date. Returns the version before.
pub(super) fn migrate(conn: &mut Connection, path: &Path, wall: Wall) -> Result<Version, StoreError> {
    let before = found(conn, path)?;
    for migration in MIGRATIONS.iter().filter(|m| m.number > before.number) {
        let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.execute_batch(migration.sql)?;
        transaction.execute(
            "INSERT INTO schema_version (number, major, name, version, wall) VALUES (?1, ?2, ?3, ?4, ?5)",
            (migration.number, migration.major, migration.name, env!("CARGO_PKG_VERSION"), wall),
        )?;
        transaction.pragma_update(None, "user_version", migration.number)?;
        transaction.commit()?;
    }
    Ok(before)
}

#[cfg(test)]
pub(super) fn first_for_tests() -> &'static str {
    include_str!("schema/0001_first.sql")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps_and_majors_never_fall() {
        for (at, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.number).unwrap(), at + 1, "{}", migration.name);
        }
        assert!(MIGRATIONS.is_sorted_by_key(|m| m.major));
    }

    #[test]
    fn every_shop_owned_table_has_the_shop_first_in_its_key_and_is_strict() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, Path::new("memory"), Wall(0)).unwrap();
        let mut tables = conn
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
            .unwrap();
        let tables: Vec<(String, String)> =
            tables.query_map([], |r| Ok((r.get(0)?, r.get(1)?))).unwrap().collect::<Result<_, _>>().unwrap();
        assert!(tables.len() > 10);
        for (name, sql) in tables {
            assert!(sql.contains("STRICT"), "{name} is not STRICT");
            if matches!(name.as_str(), "schema_version" | "boot") {
                continue;
            }
            let first: String = conn
                .query_row("SELECT name FROM pragma_table_info(?1) WHERE pk = 1", [&name], |r| r.get(0))
                .unwrap();
            assert_eq!(first, "shop_id", "{name}");
        }
    }
}
