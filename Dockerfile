# syntax=docker/dockerfile:1

ARG RUST_VERSION=1.95
ARG DEBIAN_RELEASE=bookworm

# Build. The dependencies are a layer of their own: they are built from the manifests and empty sources,
# so that a change of our code does not build them again.
FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
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
RUN find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --bin chroma-ha \
    && strip target/release/chroma-ha

FROM debian:${DEBIAN_RELEASE}-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin chroma-ha
COPY --from=build /build/target/release/chroma-ha /usr/local/bin/chroma-ha
USER 10001
ENV LOG_FORMAT=json
# Memory of large bodies goes back to the system as soon as it is free.
ENV MALLOC_MMAP_THRESHOLD_=1048576
EXPOSE 8000
# Asks /health, which answers 200 while reads or durable writes can be served.
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["chroma-ha", "health"]
# The balancer drains on SIGTERM within SHUTDOWN_TIMEOUT (25 s): let `docker stop` wait longer than that.
STOPSIGNAL SIGTERM
ENTRYPOINT ["chroma-ha"]
CMD ["serve"]
