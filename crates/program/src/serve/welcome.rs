//! Where everything is, for people and for other programs.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use kernel::outage::milliseconds;
use module::OpenModule;

use super::probes;
use crate::configuration::Configuration;
use crate::values::output;

/// Where the listeners are.
pub struct Addresses {
    pub api: SocketAddr,
    pub admin: SocketAddr,
    pub wire: Option<SocketAddr>,
}

/// Returns what people may try first with these modules.
pub fn first_steps(modules: &[OpenModule], api: SocketAddr) -> String {
    let runs = |name: &&str| modules.iter().any(|module| module.name == *name);
    let steps = modules.iter().filter_map(|module| module.first_steps);
    let possible = steps.filter(|steps| steps.needs.iter().all(&runs));
    possible.map(|steps| (steps.text)(&format!("http://{api}"))).collect()
}

/// Says where everything is: to people on standard output, to other programs in a file.
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
    let state = if caught_up { "ready" } else { "serving, its read models still catching up" };
    output::line(format_args!("\nbascule is {state}, after {milliseconds} ms, in {memory} MiB."))?;
    output::line(welcome(&api, &admin, wire.as_deref(), first_steps))?;
    if let Some(file) = std::env::var_os("BASCULE_ADDRESS_FILE") {
        let file = Path::new(&file);
        let text = serde_json::json!({ "http": api, "admin": admin, "wire": wire }).to_string();
        // Written aside and moved: a reader sees all of it or nothing.
        let aside = file.with_extension("new");
        std::fs::write(&aside, text)
            .and_then(|()| std::fs::rename(&aside, file))
            .with_context(|| format!("the addresses cannot be written to {}", file.display()))?;
    }
    Ok(())
}

/// Where everything is, and what people may try first.
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
