//! Places of tables: URLs, and the names that derive from them.

use std::fmt;
use std::path::{Path, PathBuf};

use kernel::credentials::redacted;

use crate::DatabaseError;

/// A database engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Embedded, in a file.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

impl Engine {
    /// Returns the engine of a URL.
    pub fn of(url: &str) -> Result<Self, DatabaseError> {
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres);
        }
        sqlite_path(url).map(|_| Self::Sqlite)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// Returns the URL of a module's database, given the event store's: for `sqlite:data/bascule.db` the
/// orders are in `sqlite:data/bascule.orders.db`. In PostgreSQL it is the same database: a module's
/// tables are in a schema named after it.
pub fn module_url(store_url: &str, module: &str) -> Result<String, DatabaseError> {
    if Engine::of(store_url)? == Engine::Postgres {
        return Ok(store_url.to_owned());
    }
    let file = beside(&sqlite_path(store_url)?, module);
    Ok(format!("sqlite:{}", file.display()))
}

/// Returns the path of a file next to another one: for `bascule.db`, `bascule.orders.db`.
pub(crate) fn beside(path: &Path, name: &str) -> PathBuf {
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("bascule");
    path.with_file_name(format!("{stem}.{name}.db"))
}

/// Returns the names of the files next to another one: see [`beside`].
pub(crate) fn files_beside(path: &Path) -> Result<Vec<String>, DatabaseError> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let unreadable = |source| DatabaseError::Folder { folder: folder.to_owned(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.file_name();
        let name = file.to_str().and_then(|file| file.strip_suffix(".db"));
        let name = name.and_then(|file| file.rsplit_once('.')).map(|(_, name)| name);
        names.extend(
            name.filter(|name| beside(path, name).file_name() == Some(&file)).map(str::to_owned),
        );
    }
    Ok(names)
}

/// Returns the path in a `sqlite:` URL.
pub fn sqlite_path(url: &str) -> Result<PathBuf, DatabaseError> {
    let unknown = || DatabaseError::UnknownUrl { url: redacted(url) };
    let rest = url.strip_prefix("sqlite:").ok_or_else(unknown)?;
    let path = rest.strip_prefix("//").unwrap_or(rest);
    if path.is_empty() || path.contains(":memory:") || path.contains('?') {
        return Err(unknown());
    }
    Ok(PathBuf::from(path))
}

/// Returns the name if it is valid within the name of a schema or file.
pub(crate) fn checked_name(name: &str) -> Result<&str, DatabaseError> {
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
        // PostgreSQL cuts off longer names, and reserves these.
        && name.len() < 64
        && !name.starts_with("pg_");
    if is_name { Ok(name) } else { Err(DatabaseError::InvalidName { name: name.to_owned() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_beside_the_store_or_in_the_same_database() {
        assert_eq!(
            module_url("sqlite:data/bascule.db", "orders").unwrap(),
            "sqlite:data/bascule.orders.db"
        );
        for url in ["postgres://host/bascule", "postgresql://host/bascule"] {
            assert_eq!(module_url(url, "orders").unwrap(), url);
        }
        for url in ["mysql://host/bascule", "sqlite::memory:", "data/bascule.db", ""] {
            assert!(module_url(url, "orders").is_err(), "{url}");
        }
    }

    #[test]
    fn an_error_shows_no_password() {
        let error = module_url("mysql://ada:swordfish@host/b", "orders").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("swordfish"), "{error:?}");
    }

    #[test]
    fn names_of_schemas_are_plain() {
        assert!(checked_name("orders_scratch_2").is_ok());
        for name in ["", "Orders", "orders;", "a\"b", "../orders", "pg_orders", "1a", "_a"] {
            assert!(checked_name(name).is_err(), "{name}");
        }
    }
}
