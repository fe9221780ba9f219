//! The holder of an e-mail address: one claim per address, each in a separate stream.
//!
//! The stream is named by a keyed digest of the *normalised* address, so that neither the stream's name nor
//! its events contain personal data. The normalised form has no surrounding white space, the part before
//! the @ in Unicode lower case, and the domain in the ASCII form of the DNS: `exämple.fr` becomes
//! `xn--exmple-cua.fr` (UTS #46, non-transitional; IDNA2008). RFC 5321, section 2.4, allows the part before
//! the @ to be case-sensitive, but no mail system in use distinguishes mailboxes by case. Dots and `+tags`
//! are kept: they distinguish mailboxes at most providers.

use customers_contract::CustomerId;
use kernel::decider::{Context, Decider};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Refusal;

/// Returns the normalised form of an address, by which addresses are compared.
pub fn normalised(email: &str) -> String {
    let email = email.trim();
    let in_ascii = email.rsplit_once('@').and_then(|(mailbox, domain)| {
        let domain = idna::domain_to_ascii(domain).ok()?;
        Some(format!("{}@{domain}", mailbox.to_lowercase()))
    });
    in_ascii.unwrap_or_else(|| email.to_lowercase())
}

/// An open customer claimed an e-mail address. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailClaimed {
    /// Customer who holds the address.
    pub customer_id: CustomerId,
}

/// A customer released an e-mail address. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailReleased {
    /// Customer who held the address.
    pub customer_id: CustomerId,
}

event_contract::published! {
    "customers.EmailClaimed.v1": EmailClaimed;
    "customers.EmailReleased.v1": EmailReleased;
}

kernel::event_set! {
    /// The events of an e-mail address.
    pub enum EmailEvent { Claimed(EmailClaimed), Released(EmailReleased) }
}

/// An e-mail address at each stage of its life.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum EmailAddress {
    /// No open customer holds the address.
    #[default]
    Free,
    /// This open customer holds the address.
    ClaimedBy(CustomerId),
}

/// A command on an e-mail address.
#[derive(Debug, Clone, Copy)]
pub enum EmailCommand {
    /// Claims the address for this customer.
    Claim(CustomerId),
    /// Releases the claim of this customer.
    Release(CustomerId),
}

/// The e-mail address as an aggregate: stream `email-<digest of the normalised address>`.
#[derive(Debug)]
pub struct EmailDecider;

impl Decider for EmailDecider {
    const CATEGORY: &'static str = "email";
    type Id = Uuid;
    type State = EmailAddress;
    type Command = EmailCommand;
    type Event = EmailEvent;
    type Refusal = Refusal;

    fn decide(
        email: &EmailAddress,
        command: EmailCommand,
        _context: &Context,
    ) -> Result<Vec<EmailEvent>, Refusal> {
        match command {
            EmailCommand::Claim(customer_id) => claim(*email, customer_id),
            EmailCommand::Release(customer_id) => Ok(release(*email, customer_id)),
        }
    }

    fn evolve(_email: EmailAddress, event: &EmailEvent) -> EmailAddress {
        match event {
            EmailEvent::Claimed(event) => EmailAddress::ClaimedBy(event.customer_id),
            EmailEvent::Released(_) => EmailAddress::Free,
        }
    }
}

fn claim(email: EmailAddress, customer_id: CustomerId) -> Result<Vec<EmailEvent>, Refusal> {
    match email {
        EmailAddress::Free => Ok(vec![EmailClaimed { customer_id }.into()]),
        EmailAddress::ClaimedBy(holder) if holder == customer_id => Ok(vec![]),
        EmailAddress::ClaimedBy(_) => Err(Refusal::EmailTaken),
    }
}

fn release(email: EmailAddress, customer_id: CustomerId) -> Vec<EmailEvent> {
    match email {
        EmailAddress::ClaimedBy(holder) if holder == customer_id => {
            vec![EmailReleased { customer_id }.into()]
        }
        // A customer cannot release the claim of another customer.
        EmailAddress::Free | EmailAddress::ClaimedBy(_) => vec![],
    }
}

#[cfg(test)]
mod tests {
    use testkit::given;

    use super::*;

    const ADA: CustomerId = CustomerId::from_u128(1);
    const BOB: CustomerId = CustomerId::from_u128(2);

    fn claimed(customer_id: CustomerId) -> EmailEvent {
        EmailClaimed { customer_id }.into()
    }

    fn released(customer_id: CustomerId) -> EmailEvent {
        EmailReleased { customer_id }.into()
    }

    #[test]
    fn a_free_address_can_be_claimed_once() {
        given::<EmailDecider>([])
            .when(EmailCommand::Claim(ADA))
            .then([claimed(ADA)])
            .when(EmailCommand::Claim(ADA))
            .changes_nothing()
            .when(EmailCommand::Claim(BOB))
            .refuses(&Refusal::EmailTaken);
    }

    #[test]
    fn a_released_address_is_free_again() {
        given::<EmailDecider>([claimed(ADA)])
            .when(EmailCommand::Release(ADA))
            .then([released(ADA)])
            .when(EmailCommand::Claim(BOB))
            .then([claimed(BOB)]);
    }

    #[test]
    fn only_the_holder_releases() {
        given::<EmailDecider>([claimed(ADA)]).when(EmailCommand::Release(BOB)).changes_nothing();
        given::<EmailDecider>([]).when(EmailCommand::Release(BOB)).changes_nothing();
    }

    #[test]
    fn addresses_are_compared_without_case_and_surrounding_space() {
        assert_eq!(normalised("  Ada@Exemple.FR "), "ada@exemple.fr");
        assert_eq!(normalised("ÉLISE@exemple.fr"), "élise@exemple.fr");
        assert_ne!(normalised("a.da@exemple.fr"), normalised("ada@exemple.fr"));
        assert_ne!(normalised("ada+x@exemple.fr"), normalised("ada@exemple.fr"));
    }

    #[test]
    fn a_domain_is_the_same_in_unicode_and_in_ascii() {
        let ascii = "ada@xn--exmple-cua.fr";
        for spelling in [
            "ada@exämple.fr",
            "Ada@EXÄMPLE.FR",
            "ada@exa\u{308}mple.fr",
            "ada@ｅxämple。fr",
            "ada@XN--EXMPLE-CUA.fr",
            ascii,
        ] {
            assert_eq!(normalised(spelling), ascii, "{spelling}");
        }
        assert_eq!(normalised("Ada@[192.0.2.1]"), "ada@[192.0.2.1]");
        assert_eq!(normalised("ada@xn--A.fr"), "ada@xn--a.fr", "what was imported is kept");
    }
}
