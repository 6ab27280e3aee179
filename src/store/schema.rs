//! Numbered migrations, each committed together with its number. Expand-only: a migration of the same major adds,
//! so that the version before still works on the file and an upgrade can be taken back.

use std::path::Path;

use rusqlite::Connection;

use super::{FILE, Notice, StoreError, backup};
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

const MIGRATIONS: &[Migration] = &[
    Migration { number: 1, major: 1, name: "first", sql: include_str!("schema/0001_first.sql") },
    Migration { number: 2, major: 1, name: "calls", sql: include_str!("schema/0002_calls.sql") },
    Migration { number: 3, major: 1, name: "upstream", sql: include_str!("schema/0003_upstream.sql") },
    Migration {
        number: 4,
        major: 1,
        name: "consents told",
        sql: include_str!("schema/0004_consents_told.sql"),
    },
];

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

/// Brings the file up to date; a file with anything in it is copied first. What a person should hear of it.
pub(super) fn upgrade(
    conn: &mut Connection,
    directory: &Path,
    wall: Wall,
    backups_kept: usize,
) -> Result<Option<Notice>, StoreError> {
    upgrade_by(MIGRATIONS, conn, directory, wall, backups_kept)
}

fn upgrade_by(
    migrations: &[Migration],
    conn: &mut Connection,
    directory: &Path,
    wall: Wall,
    backups_kept: usize,
) -> Result<Option<Notice>, StoreError> {
    let from = found(conn, &directory.join(FILE))?.number;
    let known = migrations.last().map_or(0, |m| m.number);
    if from > known {
        return Ok(Some(Notice::NewerMinor { found: from, known }));
    }
    if from == known {
        return Ok(None);
    }
    let backup = if from == 0 { None } else { Some(backup::make(conn, directory, wall, backups_kept)?) };
    for migration in migrations.iter().filter(|m| m.number > from) {
        migrate(conn, migration, wall)?;
    }
    Ok(backup.map(|backup| Notice::Migrated { from, to: known, backup }))
}

/// One migration and its number, together or not at all.
fn migrate(conn: &mut Connection, migration: &Migration, wall: Wall) -> Result<(), StoreError> {
    let transaction = conn.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.pragma_update(None, "application_id", APPLICATION)?;
    transaction.execute_batch(migration.sql)?;
    transaction.execute(
        "INSERT INTO schema_version (number, major, name, version, wall) VALUES (?1, ?2, ?3, ?4, ?5)",
        (migration.number, migration.major, migration.name, env!("CARGO_PKG_VERSION"), wall),
    )?;
    transaction.pragma_update(None, "user_version", migration.number)?;
    Ok(transaction.commit()?)
}

/// What made the tables of the first `number` migrations.
#[cfg(test)]
pub(super) fn sql_for_tests(number: usize) -> impl Iterator<Item = &'static str> {
    MIGRATIONS.iter().take(number).map(|m| m.sql)
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
        let first = upgrade(&mut conn, Path::new("nowhere"), Wall(0), 3).unwrap();
        assert_eq!(first, None);
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

    fn at_first_with_a_setting(directory: &Path) -> Connection {
        let mut conn = Connection::open(directory.join(FILE)).unwrap();
        upgrade_by(&MIGRATIONS[..1], &mut conn, directory, Wall(0), 3).unwrap();
        conn.execute_batch("INSERT INTO setting VALUES ('main', 'name', '\"Green\"', 'owner', 0)").unwrap();
        conn
    }

    fn with_second(sql: &'static str) -> Vec<Migration> {
        let first = &MIGRATIONS[0];
        vec![
            Migration { number: 1, major: 1, name: first.name, sql: first.sql },
            Migration { number: 2, major: 1, name: "second", sql },
        ]
    }

    #[test]
    fn a_database_is_copied_before_it_is_migrated() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = at_first_with_a_setting(dir.path());
        let steps = with_second("ALTER TABLE setting ADD COLUMN note TEXT");
        let notice = upgrade_by(&steps, &mut conn, dir.path(), Wall(0), 3).unwrap();
        let Some(Notice::Migrated { from: 1, to: 2, backup }) = notice else { panic!("{notice:?}") };
        let copy = Connection::open(&backup).unwrap();
        assert_eq!(found(&copy, &backup).unwrap().number, 1);
        let kept: String = copy.query_row("SELECT value FROM setting", [], |r| r.get(0)).unwrap();
        assert_eq!(kept, "\"Green\"");
        conn.query_row("SELECT note FROM setting", [], |_| Ok(())).unwrap();
        assert_eq!(upgrade_by(&steps, &mut conn, dir.path(), Wall(0), 3).unwrap(), None);
    }

    #[test]
    fn a_migration_that_fails_half_way_leaves_the_database_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let mut conn = at_first_with_a_setting(dir.path());
        let steps = with_second("DELETE FROM setting; ALTER TABLE nowhere ADD COLUMN note TEXT");
        assert!(upgrade_by(&steps, &mut conn, dir.path(), Wall(0), 3).is_err());
        assert_eq!(found(&conn, Path::new(FILE)).unwrap().number, 1);
        let count: i64 = conn.query_row("SELECT count(*) FROM setting", [], |r| r.get(0)).unwrap();
        assert_eq!(count, 1);
    }
}
