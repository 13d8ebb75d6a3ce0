# docker build -t scotoma .                            the CPU server
# docker build -t scotoma --build-arg FEATURES=cuda .  the GPU server; --build-arg CUDA_COMPUTE_CAP=80 for an A100
# docker run -p 7878:7878 scotoma

# Empty, or features of the crate; all of them need CUDA.
ARG FEATURES=
ARG BUILD_IMAGE=${FEATURES:+nvidia/cuda:13.0.1-devel-ubuntu24.04}
ARG RUN_IMAGE=${FEATURES:+nvidia/cuda:13.0.1-runtime-ubuntu24.04}

FROM rust:1.95-slim-bookworm AS rust

FROM ${BUILD_IMAGE:-debian:bookworm-slim} AS build
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates gcc g++ libc6-dev
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:$PATH
ARG FEATURES
ARG CUDA_COMPUTE_CAP=90
ENV CUDA_COMPUTE_CAP=${CUDA_COMPUTE_CAP}
# Kernels that nobody calls are most of a GPU binary; compressed they are 44 MB with everything else, else 79.
ENV NVCC_APPEND_FLAGS=--compress-mode=size
WORKDIR /scotoma
COPY Cargo.toml Cargo.lock ./
COPY benches benches
COPY clients/page/dist clients/page/dist
COPY clients/rust clients/rust
COPY models models
COPY proto proto
COPY src src
RUN cargo build --profile dist --locked --package scotoma ${FEATURES:+--features $FEATURES}

FROM ${RUN_IMAGE:-debian:bookworm-slim}
COPY --from=build /scotoma/target/dist/scotoma /usr/local/bin/scotoma
# Of no name and no home: it reads models and writes nothing.
USER 65532:65532
ENV SCOTOMA_LISTEN=0.0.0.0:7878
EXPOSE 7878
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["scotoma", "health"]
ENTRYPOINT ["scotoma"]
CMD ["serve"]
