//! Interning: one copy of every string that recurs.

use std::collections::HashSet;

use kernel::shared_text::SharedText;

/// More than the number of event types in a log; actors may be numerous.
const MOST: usize = 1024;

/// The types, actors and origins that one reader met recently.
#[derive(Debug, Default)]
pub(crate) struct Interner(HashSet<SharedText>);

impl Interner {
    /// Returns the copy of a string that earlier events share, if any.
    pub(crate) fn share(&mut self, text: &str) -> SharedText {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        if self.0.len() == MOST {
            self.0.clear();
        }
        let text = SharedText::from(text);
        self.0.insert(text.clone());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_kept_once_and_not_for_ever() {
        let mut interner = Interner::default();
        let first = interner.share("orders.OrderPlaced.v1");
        let again = interner.share("orders.OrderPlaced.v1");
        assert!(std::ptr::eq(first.as_str(), again.as_str()));
        for number in 0..3 * MOST {
            assert_eq!(interner.share(&number.to_string()), number.to_string().as_str());
            assert!(interner.0.len() <= MOST);
        }
    }
}
