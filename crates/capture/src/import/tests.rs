mod crashes;
mod harness;
mod oracle;
mod recovery;
mod semantics;
mod shop;
mod statements;
mod takeover;
