//! The decisions on charges, by payment method.

/// The stored reason of a captured charge whose next refund is refused.
pub(super) const REFUSES_A_REFUND: &str = "refuses the next refund";

/// Number of calls per charge that `sandbox:flaky` fails.
const FLAKY_FAILURES: i64 = 2;

/// The decision on a charge and how it is answered.
pub(super) struct Decision {
    pub(super) status: &'static str,
    pub(super) reason: Option<String>,
    pub(super) answer: Answer,
}

#[derive(Clone, Copy)]
pub(super) enum Answer {
    AtOnce,
    Late,
    Never,
    Unavailable,
}

impl Decision {
    pub(super) fn captured() -> Self {
        Self { status: "captured", reason: None, answer: Answer::AtOnce }
    }

    pub(super) fn declined(reason: &str) -> Self {
        Self { status: "declined", reason: Some(reason.to_owned()), answer: Answer::AtOnce }
    }

    pub(super) fn by_method(method: &str, attempts: i64) -> Self {
        match method {
            "sandbox:ok" => Self::captured(),
            "sandbox:declined" => Self::declined("insufficient funds"),
            "sandbox:flaky" if attempts <= FLAKY_FAILURES => {
                Self { status: "received", reason: None, answer: Answer::Unavailable }
            }
            "sandbox:flaky" => Self::captured(),
            "sandbox:refund-refused" => {
                Self { reason: Some(REFUSES_A_REFUND.to_owned()), ..Self::captured() }
            }
            "sandbox:slow" => Self { answer: Answer::Late, ..Self::captured() },
            "sandbox:never" => Self { status: "pending", reason: None, answer: Answer::Never },
            _ => Self::declined("unknown payment method"),
        }
    }
}
