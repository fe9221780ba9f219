//! Rows, read by column name on either engine.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::de::value::{Error as NameError, StrDeserializer};
use sqlx::postgres::{PgRow, Postgres};
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{Decode, Row as _, Type};

use crate::DatabaseError;

/// A type that a column of both engines can be read as: the same as [`ToSql`](crate::ToSql), and also
/// text and bytes borrowed from the row.
pub trait FromSql<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}
impl<'r, T> FromSql<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

/// A row of a result.
pub struct Row(RowOf);

enum RowOf {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Leaves out its content, which may be personal.
impl fmt::Debug for Row {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Row")
    }
}

impl From<SqliteRow> for Row {
    fn from(row: SqliteRow) -> Self {
        Self(RowOf::Sqlite(row))
    }
}

impl From<PgRow> for Row {
    fn from(row: PgRow) -> Self {
        Self(RowOf::Postgres(row))
    }
}

impl Row {
    /// Returns a column's value.
    pub fn get<'r, T: FromSql<'r>>(&'r self, column: &str) -> Result<T, DatabaseError> {
        Ok(match &self.0 {
            RowOf::Sqlite(row) => row.try_get(column)?,
            RowOf::Postgres(row) => row.try_get(column)?,
        })
    }

    /// Returns the value of a column with JSON text; `NULL` reads as `null`.
    pub fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, DatabaseError> {
        let text: Option<&str> = self.get(column)?;
        serde_json::from_str(text.unwrap_or("null")).map_err(|error| DatabaseError::Damaged {
            column: column.to_owned(),
            // serde's error would quote the unreadable value, which may be personal.
            reason: format!("it has invalid JSON at character {}", error.column()),
        })
    }

    /// Returns the value of a column with the serde name of a unit variant of an `enum`.
    pub fn name<T: DeserializeOwned>(&self, column: &str) -> Result<T, DatabaseError> {
        let name: StrDeserializer<'_, NameError> = StrDeserializer::new(self.get(column)?);
        T::deserialize(name).map_err(|_| DatabaseError::Damaged {
            column: column.to_owned(),
            reason: "it has an unknown name".to_owned(),
        })
    }

    pub(crate) fn at<'r, T: FromSql<'r>>(&'r self, index: usize) -> Result<T, DatabaseError> {
        Ok(match &self.0 {
            RowOf::Sqlite(row) => row.try_get(index)?,
            RowOf::Postgres(row) => row.try_get(index)?,
        })
    }
}
