//! Compiles the protocol's descriptions, without `protoc`.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = [
        "proto/streams.proto",
        "proto/gossip.proto",
        "proto/monitoring.proto",
        "proto/server_features.proto",
        "proto/store.proto",
    ];
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(files, ["proto"])?;
    // The names of services and calls, for a test that compares them with the table of calls.
    let mut calls = Vec::new();
    for file in &descriptors.file {
        for service in &file.service {
            let service_name = format!("{}.{}", file.package(), service.name());
            calls.extend(service.method.iter().map(|call| (service_name.clone(), call.name())));
        }
    }
    let calls = format!("pub const CALLS: &[(&str, &str)] = &{calls:?};");
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("calls.rs"), calls)?;
    let mut messages = tonic_prost_build::Config::new();
    // The details of an error name their type.
    messages.enable_type_names();
    tonic_prost_build::configure()
        .build_client(false)
        .build_transport(false)
        .codec_path("crate::decoding::Messages")
        // Events are handed on without being copied.
        .bytes(".event_store.client.streams")
        .include_file("protocol.rs")
        .compile_fds_with_config(descriptors, messages)?;
    Ok(())
}
