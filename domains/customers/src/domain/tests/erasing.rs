//! Erasing a customer.

use super::*;

#[test]
fn anybody_who_is_known_can_be_erased_once() {
    for (history, legacy) in [
        (vec![registered()], None),
        (vec![registered(), closed()], None),
        (vec![imported()], Some(legacy())),
    ] {
        given::<CustomerDecider>(history)
            .at(ERASED_AT)
            .when(Command::Erase)
            .then([erased(legacy)])
            .when(Command::Erase)
            .changes_nothing();
    }
    given::<CustomerDecider>([]).when(Command::Erase).refuses(&Refusal::NoSuchCustomer);
}

#[test]
fn nothing_is_recorded_of_an_erased_customer() {
    for command in [
        Command::Register(registration()),
        Command::ChangeContact(contact("x@y.fr")),
        Command::ChangeAddress(address("x")),
        close(),
        present(json!({"name": "Ada Martin"})),
        absent("gone"),
    ] {
        given::<CustomerDecider>([registered(), erased(None)])
            .when(command.clone())
            .refuses(&Refusal::CustomerErased);
        given::<CustomerDecider>([imported(), erased(Some(legacy()))])
            .when(command)
            .refuses(&Refusal::CustomerErased);
    }
}
