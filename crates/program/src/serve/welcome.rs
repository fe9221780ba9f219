//! Announces the addresses of the listeners, to people and to other programs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kernel::outage::milliseconds;
use module::OpenModule;

use super::probes;
use crate::configuration::Configuration;
use crate::values::output;

/// Addresses of the listeners.
pub struct Addresses {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub wire: Option<SocketAddr>,
}

/// Returns the first steps to try with these modules.
pub fn first_steps(modules: &[OpenModule], api: SocketAddr) -> String {
    let runs = |name: &&str| modules.iter().any(|module| module.name == *name);
    let steps = modules.iter().filter_map(|module| module.first_steps);
    let possible = steps.filter(|steps| steps.needs.iter().all(&runs));
    possible.map(|steps| (steps.text)(&format!("http://{api}"))).collect()
}

/// Prints the addresses to standard output and writes them to a file for other programs.
pub fn announce(
    configuration: &Configuration,
    addresses: &Addresses,
    took: Duration,
    caught_up: bool,
    first_steps: &str,
) -> anyhow::Result<()> {
    let api = format!("http://{}", addresses.api);
    let admin = format!("http://{}", addresses.admin);
    let tls = configuration.wire.tls.is_some();
    let wire = addresses.wire.map(|address| format!("kurrentdb://{address}?tls={tls}"));
    let milliseconds = milliseconds(took);
    let memory = probes::resident_memory().unwrap_or_default() / (1024 * 1024);
    tracing::info!(
        api,
        admin,
        wire,
        store = %configuration.store,
        started_in_ms = milliseconds,
        resident_mib = memory,
        caught_up,
        "serving"
    );
    let state = if caught_up { "ready" } else { "serving; its read models are still catching up" };
    output::line(format_args!("\nbascule is {state}, after {milliseconds} ms, in {memory} MiB."))?;
    output::line(welcome(&api, &admin, wire.as_deref(), first_steps))?;
    if let Some(file) = std::env::var_os("BASCULE_ADDRESS_FILE") {
        let file = Path::new(&file);
        let text = serde_json::json!({ "http": api, "admin": admin, "wire": wire }).to_string();
        // Written to a temporary file and renamed, so that a reader never sees a partial file.
        let aside = file.with_extension("new");
        std::fs::write(&aside, text)
            .and_then(|()| std::fs::rename(&aside, file))
            .with_context(|| format!("cannot write the addresses to {}", file.display()))?;
    }
    Ok(())
}

/// Returns the welcome text: addresses and first steps.
fn welcome(api: &str, admin: &str, wire: Option<&str>, first_steps: &str) -> String {
    let wire = wire.map(|wire| format!("\n  wire     {wire}")).unwrap_or_default();
    format!(
        r#"
  API      {api}/api/v1
  docs     {api}/docs/
  metrics  {admin}/metrics
  probes   {admin}/readyz{wire}

{first_steps}"#
    )
}
