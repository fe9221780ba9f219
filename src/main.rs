//! The binary `bascule`: the list of its modules, handed to the program.

use std::process::ExitCode;

use module::AnyModule;

/// Events are made by one thread and dropped by another, which the system's allocator is slow at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// In the order in which things happen to an order; capture takes commands of those before it.
static MODULES: &[&dyn AnyModule] = &[
    &customers::CustomersModule,
    &orders::OrdersModule,
    &billing::BillingModule,
    &payments::PaymentsModule::on_sandbox(),
    #[cfg(feature = "import")]
    &capture::CaptureModule,
];

fn main() -> ExitCode {
    program::main(MODULES)
}

#[cfg(test)]
#[cfg(feature = "import")]
mod tests;
