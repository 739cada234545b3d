# The image of `cargo xtask image`, for whoever has a container engine: the same files, put there by the same command.
#
#   docker build --tag riwaq:0.1.0 .

FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo xtask image --folder /root-of-image && mv /root-of-image/data /data-of-image

# Nothing but the program, the four libraries that it links to, the authorities of TLS and a user. No shell.
FROM scratch
COPY --from=build /root-of-image/ /
# By itself: a folder that is there already keeps its owner, and this one is the program's.
COPY --from=build --chown=65532:65532 /data-of-image /data
ENV PATH=/ SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["/riwaq"]
