//! Compiles the kernels for NVIDIA GPUs, where the feature `cuda` asks for them.

#[cfg(feature = "cuda")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = "src/nn/cuda";
    println!("cargo:rerun-if-changed={folder}");
    let out = std::path::PathBuf::from(std::env::var("OUT_DIR")?);
    // For the GPU that is here, or the one that CUDA_COMPUTE_CAP names.
    cudaforge::KernelBuilder::new()
        .source_dir(folder)
        // Position-independent, as Rust links its programs.
        .args(["-std=c++17", "-O3", "-Xcompiler", "-fPIC"])
        .build_lib(out.join("libscotoma_kernels.a"))?;
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-lib=static=scotoma_kernels");
    // library.cu calls cuBLASLt and uses `std::map`; launches go through the CUDA runtime.
    for library in ["cublasLt", "cudart", "stdc++"] {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
    Ok(())
}

#[cfg(not(feature = "cuda"))]
fn main() {
    // Without any such line Cargo runs the script again whenever a file of the crate changes.
    println!("cargo:rerun-if-changed=src/nn/cuda/build.rs");
}
