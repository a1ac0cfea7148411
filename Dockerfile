# One static binary in an empty image, run without root.
#
#   docker build -t mns-endpoint .
#   docker run -p 8080:8080 -v mns-logs:/logs -v mns-state:/state mns-endpoint
#
# Builds for the machine it runs on, x86_64 or aarch64.

FROM rust:1.95.0-alpine3.23 AS build

# aws-lc-sys compiles C and assembler: a compiler and libc headers, no cmake. Alpine's Rust links musl statically.
RUN apk add --no-cache ca-certificates gcc musl-dev

WORKDIR /build

# The dependencies first, under an empty program: this layer lasts until Cargo.toml or Cargo.lock changes.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --profile dist --locked \
    && rm -r src

# COPY keeps old time stamps; without the touch cargo could take the empty program for the real one.
COPY config config
COPY src src
RUN touch src/main.rs src/lib.rs && cargo build --profile dist --locked

# What the last stage copies, with its owners.
RUN install -d -o 10001 -g 10001 /image/logs /image/state /image/state/certificates \
    && install -D -m 0755 target/dist/mns-endpoint /image/mns-endpoint \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ca-certificates.crt


FROM scratch

LABEL org.opencontainers.image.title="mns-endpoint" \
      org.opencontainers.image.description="Push endpoint for Alibaba Cloud MNS topics" \
      org.opencontainers.image.licenses="Apache-2.0"

# CA roots for the certificate source. No /usr/share/zoneinfo: time zone data is in the binary, TZ works as usual.
COPY --from=build /image/etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build --chown=10001:10001 /image/logs /logs
COPY --from=build --chown=10001:10001 /image/state /state
COPY --from=build /image/mns-endpoint /mns-endpoint

# These two win over a configuration file, so that records and certificates always land on the volumes.
ENV MNS_ENDPOINT_LOGS__DIR=/logs \
    MNS_ENDPOINT_SIGNING__CERTIFICATE_DIR=/state/certificates

# Relative paths start here: mount a configuration at /config/endpoint.toml, TLS files under /certs.
WORKDIR /
USER 10001:10001
EXPOSE 8080
VOLUME ["/logs", "/state"]
STOPSIGNAL SIGTERM
# Longer than `health` takes: at most 6 s, 3 s for each of two requests. Docker kills it at the end of the timeout, before
# it could print why the endpoint is not healthy.
HEALTHCHECK --interval=10s --timeout=8s --start-period=5s --retries=3 CMD ["/mns-endpoint", "health"]
ENTRYPOINT ["/mns-endpoint"]
CMD ["serve"]
