//! Secrets: never in the file itself. A key that ends in `_file` names a file that holds one, one that ends in
//! `_credential` a systemd credential (`LoadCredential=`).

use std::fmt;
use std::path::PathBuf;

use toml::de::DeTable;

use super::reader::{Reader, place};

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps it.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: hand it to the wire, not to a log.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Reader<'_> {
    pub(super) fn secret(&mut self, table: &DeTable<'_>, name: &str) -> Option<Secret> {
        let (file, credential) = (format!("{name}_file"), format!("{name}_credential"));
        let named = self.string(table, &file).map(|p| (file.clone(), PathBuf::from(p)));
        let granted = self.string(table, &credential);
        let (key, path) = match (named, granted) {
            (Some((key, _)), Some(_)) => {
                let at = place(0, table, &key);
                self.fault(at, format!("`{key}` and `{credential}` say the same: write one of them"));
                return None;
            }
            (Some(found), None) => found,
            (None, Some(granted)) => match self.credentials {
                Some(directory) => (credential, directory.join(granted)),
                None => {
                    let at = place(0, table, &credential);
                    self.fault(
                        at,
                        format!("`{credential}` needs systemd's LoadCredential=; use `{file}` elsewhere"),
                    );
                    return None;
                }
            },
            (None, None) => return None,
        };
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                let at = place(0, table, &key);
                self.fault(at, format!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some(Secret(text.trim().to_owned())),
            Err(error) => {
                let at = place(0, table, &key);
                self.fault(at, format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }
}
