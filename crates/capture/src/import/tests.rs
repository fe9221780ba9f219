mod harness;
mod oracle;
mod recovery;
mod semantics;
