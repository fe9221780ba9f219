//! Finding customers by e-mail address: the key is a keyed digest of the normalised address, so that the
//! address itself is not stored as a key.

use kernel::event::StreamName;
use kernel::keys::SecretKey;
use kernel::store::ReadError;

use crate::domain::email::{EmailDecider, normalised};

const PURPOSE: &str = "customers.email";

/// The lookup key of an e-mail address. Addresses with the same normalised form have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailKey([u8; 32]);

impl EmailKey {
    /// Returns the key of an address, normalised or not, under the store's lookup key.
    pub fn of(lookup_key: &SecretKey, email: &str) -> Self {
        Self(lookup_key.digest(PURPOSE, &normalised(email)))
    }

    /// Returns the digest.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the stream of the claim on the address.
    pub(crate) fn stream(&self) -> Result<StreamName, ReadError> {
        let category = <EmailDecider as kernel::decider::Decider>::CATEGORY;
        let name = format!("{category}-{}", hex::encode(self.0));
        // `email-` and 64 hexadecimal digits are always a valid name: the error cannot occur.
        StreamName::new(name).map_err(|error| ReadError::Unavailable(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_key_however_it_is_written() {
        let key = SecretKey::generate().unwrap();
        let ada = EmailKey::of(&key, "ada@exemple.fr");
        assert_eq!(ada, EmailKey::of(&key, " Ada@Exemple.fr "));
        let in_unicode = EmailKey::of(&key, "Ada@Exämple.FR");
        assert_eq!(in_unicode, EmailKey::of(&key, "ada@xn--exmple-cua.fr"));
        assert_ne!(ada, EmailKey::of(&key, "bob@exemple.fr"));
        assert_ne!(ada, EmailKey::of(&SecretKey::generate().unwrap(), "ada@exemple.fr"));
        assert_eq!(ada.stream().unwrap().category(), "email");
    }
}
