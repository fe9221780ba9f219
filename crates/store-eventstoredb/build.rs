//! Compiles the description of the service that bascule's endpoint offers to modules.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=../wire/proto/store.proto");
    let descriptors = protox::compile(["../wire/proto/store.proto"], ["../wire/proto"])?;
    tonic_prost_build::configure()
        .build_server(false)
        .include_file("protocol.rs")
        .compile_fds(descriptors)?;
    Ok(())
}
