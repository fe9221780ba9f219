//! Compiles the protocol's descriptions, without `protoc`.

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
