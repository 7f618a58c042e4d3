# syntax=docker/dockerfile:1

ARG RUST_VERSION=1.95
ARG DEBIAN_RELEASE=bookworm

# Build. The dependencies are a layer of their own: they are built from the manifests and empty sources,
# so that a change of our code does not build them again.
FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY core/Cargo.toml core/
COPY actors/Cargo.toml actors/
RUN mkdir -p src core/src actors/src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs core/src/lib.rs actors/src/lib.rs \
    && cargo build --release --locked --bin chroma-ha \
    && rm -r src core/src actors/src
COPY . .
# Cargo compares times of change, and the copied files may be older than the empty ones were.
RUN find core actors src migrations -type f -exec touch {} + \
    && cargo build --release --locked --bin chroma-ha

# Nothing is installed and nothing is written: it runs with a read-only root file system.
FROM debian:${DEBIAN_RELEASE}-slim
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /build/target/release/chroma-ha /usr/local/bin/chroma-ha
COPY --chmod=0755 deploy/container/start-chroma-ha /usr/local/bin/start-chroma-ha
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
ENV LOG_FORMAT=json
# Memory of large bodies goes back to the system as soon as it is free.
ENV MALLOC_MMAP_THRESHOLD_=1048576
EXPOSE 8000
# Asks /health, which answers 200 while reads or durable writes can be served.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["chroma-ha", "health"]
# The balancer drains on SIGTERM within SHUTDOWN_TIMEOUT (25 s): let `docker stop` wait longer than that.
STOPSIGNAL SIGTERM
# It ends in `exec`: chroma-ha is process 1, hears the signals itself, and starts no other process.
ENTRYPOINT ["start-chroma-ha"]
CMD ["serve"]
