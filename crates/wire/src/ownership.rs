//! Owners of streams: a module, the system, or none.

use std::collections::HashMap;

use kernel::event::StreamName;

/// The prefix of the stream that holds another stream's metadata.
const METADATA_PREFIX: &str = "$$";
const SYSTEM_PREFIX: char = '$';

/// Maps categories of streams to the modules that own them.
#[derive(Debug, Clone, Default)]
pub struct Ownership {
    /// The module by category.
    modules: HashMap<String, String>,
}

/// The owner of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owner<'a> {
    /// A module: only it writes the stream, and no event of it is ever removed.
    Module(&'a str),
    /// The system.
    System,
    /// No owner: every account with the right `append` writes it.
    Free,
    /// The stream holds the metadata of another stream.
    Metadata(StreamName),
}

impl Ownership {
    /// Returns the ownership of categories, each with the name of its module.
    pub fn new<'a>(categories: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(category, module): (&str, &str)| (category.to_owned(), module.to_owned());
        Self { modules: categories.into_iter().map(owned).collect() }
    }

    /// Returns the owner of a stream.
    pub fn of(&self, stream: &StreamName) -> Owner<'_> {
        let name = stream.as_str();
        if let Some(Ok(described)) = name.strip_prefix(METADATA_PREFIX).map(StreamName::new) {
            Owner::Metadata(described)
        } else if name.starts_with(SYSTEM_PREFIX) {
            Owner::System
        } else {
            match self.modules.get(stream.category()) {
                Some(module) => Owner::Module(module),
                None => Owner::Free,
            }
        }
    }

    /// Returns the module whose events have this type: `<module>.…`.
    pub fn module_of_event(&self, event_type: &str) -> Option<&str> {
        let (module, _) = event_type.split_once('.')?;
        self.modules.values().find(|known| *known == module).map(String::as_str)
    }

    /// Returns whether a module has this name.
    pub fn knows_module(&self, name: &str) -> bool {
        self.modules.values().any(|module| module == name)
    }
}

/// Returns the name of the stream that holds a stream's metadata; `None` if it would be too long.
pub(crate) fn metadata_stream(stream: &StreamName) -> Option<StreamName> {
    StreamName::new(format!("{METADATA_PREFIX}{stream}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_a_modules_by_its_category() {
        let ownership = Ownership::new([("order", "orders"), ("invoice", "billing")]);
        let name = |name: &str| StreamName::new(name).unwrap();
        assert_eq!(ownership.of(&name("order-1")), Owner::Module("orders"));
        assert_eq!(ownership.of(&name("order")), Owner::Module("orders"));
        for free in ["orders-1", "Order-1", "cart-order-1"] {
            assert_eq!(ownership.of(&name(free)), Owner::Free, "{free}");
        }
        assert_eq!(ownership.of(&name("$ce-order")), Owner::System);
        assert_eq!(ownership.of(&name("$$")), Owner::System);
        assert_eq!(ownership.of(&name("$$order-1")), Owner::Metadata(name("order-1")));
        assert_eq!(ownership.of(&name("$$$ce")), Owner::Metadata(name("$ce")));
    }

    #[test]
    fn an_event_is_a_modules_by_the_first_part_of_its_type() {
        let ownership = Ownership::new([("order", "orders")]);
        assert_eq!(ownership.module_of_event("orders.OrderPlaced.v1"), Some("orders"));
        for other in ["orders", "order.OrderPlaced.v1", "OrderPlaced", "x.orders.OrderPlaced"] {
            assert_eq!(ownership.module_of_event(other), None, "{other}");
        }
    }
}
