//! To whom an e-mail address belongs: one claim per address, in a stream of its own.
//!
//! The stream is named by a keyed digest of the *normalised* address, so that neither the stream's
//! name nor its events hold personal data. Two addresses are the same when they are equal after
//! surrounding white space is cut off, Unicode lower case is taken of the part before the @, and the
//! domain is written as name servers have it: `exämple.fr` is `xn--exmple-cua.fr` (UTS #46,
//! non-transitional; IDNA2008). (RFC 5321, section 2.4, lets the part before the @ be
//! case-sensitive; no mail system in use makes two people of it.) Nothing else is folded: dots and
//! `+tags` tell mailboxes apart at most providers.

use customers_contract::CustomerId;
use kernel::decider::{Context, Decider};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Refusal;

/// The form in which two addresses are compared.
pub fn normalised(email: &str) -> String {
    let email = email.trim();
    let in_ascii = email.rsplit_once('@').and_then(|(mailbox, domain)| {
        let domain = idna::domain_to_ascii(domain).ok()?;
        Some(format!("{}@{domain}", mailbox.to_lowercase()))
    });
    in_ascii.unwrap_or_else(|| email.to_lowercase())
}

/// An open customer took an e-mail address. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailClaimed {
    /// Who has it now.
    pub customer_id: CustomerId,
}

/// An e-mail address became free again. Internal to this module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmailReleased {
    /// Who had it.
    pub customer_id: CustomerId,
}

event_contract::published! {
    "customers.EmailClaimed.v1": EmailClaimed;
    "customers.EmailReleased.v1": EmailReleased;
}

kernel::event_set! {
    /// What can happen to an e-mail address.
    pub enum EmailEvent { Claimed(EmailClaimed), Released(EmailReleased) }
}

/// To whom an e-mail address belongs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Email {
    /// To nobody.
    #[default]
    Free,
    /// To this open customer.
    ClaimedBy(CustomerId),
}

/// What can be asked of an e-mail address.
#[derive(Debug, Clone, Copy)]
pub enum EmailCommand {
    /// Belong to this customer.
    Claim(CustomerId),
    /// Belong to this customer no longer.
    Release(CustomerId),
}

/// The e-mail address as an aggregate: stream `email-<digest of the normalised address>`.
#[derive(Debug)]
pub struct EmailDecider;

impl Decider for EmailDecider {
    const CATEGORY: &'static str = "email";
    type Id = Uuid;
    type State = Email;
    type Command = EmailCommand;
    type Event = EmailEvent;
    type Refusal = Refusal;

    fn decide(
        email: &Email,
        command: EmailCommand,
        _context: &Context,
    ) -> Result<Vec<EmailEvent>, Refusal> {
        match command {
            EmailCommand::Claim(customer_id) => claim(*email, customer_id),
            EmailCommand::Release(customer_id) => Ok(release(*email, customer_id)),
        }
    }

    fn evolve(_email: Email, event: &EmailEvent) -> Email {
        match event {
            EmailEvent::Claimed(event) => Email::ClaimedBy(event.customer_id),
            EmailEvent::Released(_) => Email::Free,
        }
    }
}

fn claim(email: Email, customer_id: CustomerId) -> Result<Vec<EmailEvent>, Refusal> {
    match email {
        Email::Free => Ok(vec![EmailClaimed { customer_id }.into()]),
        Email::ClaimedBy(holder) if holder == customer_id => Ok(vec![]),
        Email::ClaimedBy(_) => Err(Refusal::EmailTaken),
    }
}

fn release(email: Email, customer_id: CustomerId) -> Vec<EmailEvent> {
    match email {
        Email::ClaimedBy(holder) if holder == customer_id => {
            vec![EmailReleased { customer_id }.into()]
        }
        // Nobody gives away what is another's.
        Email::Free | Email::ClaimedBy(_) => vec![],
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
