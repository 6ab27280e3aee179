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
        self.secret_file(table, name).map(|(_, secret)| secret)
    }

    /// A secret, and the file that it was read from.
    pub(super) fn secret_file(&mut self, table: &DeTable<'_>, name: &str) -> Option<(PathBuf, Secret)> {
        let (file, credential) = (format!("{name}_file"), format!("{name}_credential"));
        let named = self.string(table, &file).map(PathBuf::from);
        let granted = self.string(table, &credential);
        let (key, path) = match (named, granted) {
            (Some(_), Some(_)) => {
                let text = format!("`{file}` and `{credential}` say the same: write one of them");
                self.fault(place(0, table, &file), text);
                return None;
            }
            (Some(path), None) => (file, path),
            (None, Some(granted)) => match self.credentials {
                Some(directory) => (credential, directory.join(granted)),
                None => {
                    let text =
                        format!("`{credential}` needs systemd's LoadCredential=; use `{file}` elsewhere");
                    self.fault(place(0, table, &credential), text);
                    return None;
                }
            },
            (None, None) => return None,
        };
        let at = place(0, table, &key);
        match std::fs::read_to_string(&path) {
            Ok(text) if text.trim().is_empty() => {
                self.fault(at, format!("{} is empty", path.display()));
                None
            }
            Ok(text) => Some((path, Secret(text.trim().to_owned()))),
            Err(error) => {
                self.fault(at, format!("{} cannot be read: {error}", path.display()));
                None
            }
        }
    }
}
