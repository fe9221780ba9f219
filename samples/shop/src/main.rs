//! A shop with a module of its own: what `src/main.rs` is for the product.

use std::process::ExitCode;

fn main() -> ExitCode {
    program::main(&[
        &customers::CustomersModule,
        &orders::OrdersModule,
        &billing::BillingModule,
        &payments::PaymentsModule::on_sandbox(),
        &loyalty::LoyaltyModule,
    ])
}
