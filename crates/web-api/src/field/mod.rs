//! Types of request fields that are parsed once: a value of such a type is valid, and its OpenAPI
//! schema states what is checked.
//!
//! [`Field`] parses, serialises and describes a value by a [`Rule`]; request types use its aliases
//! ([`Line`], [`CurrencyCode`], [`Email`] …). A module adds a field type with a rule:
//!
//! ```
//! use web_api::field::{Field, Invalid, Rule};
//!
//! /// A colour as designers write it.
//! pub type Colour = Field<ColourRule>;
//!
//! /// The rule of [`Colour`].
//! pub enum ColourRule {}
//!
//! impl Rule for ColourRule {
//!     type Value = String;
//!     const DESCRIPTION: &'static str = "A colour.";
//!     const EXAMPLE: &'static str = "#ff0000";
//!     const PATTERN: Option<&'static str> = Some("^#[0-9a-f]{6}$");
//!
//!     fn name() -> std::borrow::Cow<'static, str> {
//!         "Colour".into()
//!     }
//!
//!     fn parse(text: &str) -> Result<String, Invalid> {
//!         let digits = text.strip_prefix('#').unwrap_or_default();
//!         let is_colour = digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
//!         if is_colour { Ok(text.to_owned()) } else { Err(Invalid::new("colour", "expected a colour")) }
//!     }
//! }
//!
//! let red: Colour = serde_json::from_str("\"#ff0000\"").unwrap();
//! assert_eq!(red.into_inner(), "#ff0000");
//! assert!(serde_json::from_str::<Colour>("\"red\"").is_err());
//! ```

pub(crate) mod reading;
mod rules;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

pub use self::rules::{
    AnyCurrencyCode, AnyCurrencyRule, CountryCode, CountryRule, CurrencyCode, CurrencyRule, Email,
    EmailRule, Line, LineRule, PaymentMethod, PaymentMethodRule, Telephone, TelephoneRule,
    VatNumber, VatNumberRule,
};

/// The syntax of a field, and the value it is parsed to.
pub trait Rule {
    /// The parsed value.
    type Value;

    /// The description in the OpenAPI document.
    const DESCRIPTION: &'static str;
    /// A text that the rule accepts.
    const EXAMPLE: &'static str;
    /// Whether the OpenAPI document shows the example.
    const SHOWS_EXAMPLE: bool = true;
    /// Minimum number of characters, counted as in JSON Schema.
    const MIN_LENGTH: Option<usize> = None;
    /// Maximum number of characters.
    const MAX_LENGTH: Option<usize> = None;
    /// The regular expression (ECMA-262) equivalent to [`Rule::parse`], as far as one exists.
    const PATTERN: Option<&'static str> = None;
    /// The JSON Schema format, such as `email`.
    const FORMAT: Option<&'static str> = None;

    /// Returns the name of the schema among the components.
    fn name() -> Cow<'static, str>;

    /// Parses a text.
    ///
    /// # Errors
    ///
    /// Returns why the text is invalid.
    fn parse(text: &str) -> Result<Self::Value, Invalid>;
}

/// Why a field's text is invalid: the code and the message of the field's entry in a problem.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// A stable lower-case code, such as `length`.
    pub code: &'static str,
    /// The expected value, for display.
    pub message: Cow<'static, str>,
}

impl Invalid {
    /// Creates the error from a code and a message.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into() }
    }
}

/// A value that a [`Rule`] accepted.
pub struct Field<R: Rule>(R::Value, PhantomData<fn() -> R>);

impl<R: Rule> Field<R> {
    /// Parses a text.
    ///
    /// # Errors
    ///
    /// Returns why the text is invalid.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        R::parse(text).map(|value| Self(value, PhantomData))
    }

    /// Returns the value.
    pub fn into_inner(self) -> R::Value {
        self.0
    }
}

impl<R: Rule> Deref for Field<R> {
    type Target = R::Value;
    fn deref(&self) -> &R::Value {
        &self.0
    }
}

impl<R: Rule<Value: Clone>> Clone for Field<R> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<R: Rule<Value: Copy>> Copy for Field<R> {}

impl<R: Rule<Value: fmt::Debug>> fmt::Debug for Field<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl<R: Rule<Value: PartialEq>> PartialEq for Field<R> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl<R: Rule<Value: Eq>> Eq for Field<R> {}

impl<'de, R: Rule> Deserialize<'de> for Field<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<R>(PhantomData<R>);
        impl<R: Rule> de::Visitor<'_> for Visitor<R> {
            type Value = Field<R>;
            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Field<R>, E> {
                Field::parse(text)
                    .or_else(|invalid| reading::refuse(invalid, Field::parse(R::EXAMPLE).ok()))
            }
        }
        deserializer.deserialize_str(Visitor(PhantomData))
    }
}

impl<R: Rule<Value: Serialize>> Serialize for Field<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<R: Rule> PartialSchema for Field<R> {
    fn schema() -> RefOr<Schema> {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(R::DESCRIPTION))
            .format(R::FORMAT.map(|format| SchemaFormat::Custom(format.to_owned())))
            .min_length(R::MIN_LENGTH)
            .max_length(R::MAX_LENGTH)
            .pattern(R::PATTERN);
        if R::SHOWS_EXAMPLE { schema.examples([R::EXAMPLE]) } else { schema }.into()
    }
}

impl<R: Rule> ToSchema for Field<R> {
    fn name() -> Cow<'static, str> {
        R::name()
    }
}
