//! Finding customers by an e-mail address without keeping the address as a key: through a keyed
//! digest of its normalised form.

use kernel::event::StreamName;
use kernel::keys::SecretKey;
use kernel::store::ReadError;

use crate::domain::email::{EmailDecider, normalised};

const PURPOSE: &str = "customers.email";

/// What an e-mail address is looked up by: equal for addresses that are the same when normalised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmailKey([u8; 32]);

impl EmailKey {
    /// The key of an address, normalised or not, under the store's lookup key.
    pub fn of(lookup_key: &SecretKey, email: &str) -> Self {
        Self(lookup_key.digest(PURPOSE, &normalised(email)))
    }

    /// The digest itself.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The stream of the claim on the address.
    pub(crate) fn stream(&self) -> Result<StreamName, ReadError> {
        let category = <EmailDecider as kernel::decider::Decider>::CATEGORY;
        let name = format!("{category}-{}", hex::encode(self.0));
        // 70 plain characters are always a stream's name.
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
