# An image with nothing but the agent, a static binary.
#   docker build --tag pod-quarantine .
ARG BUILDER=rust:1.95-bookworm
FROM ${BUILDER} AS build
ARG PROFILE=release
WORKDIR /source
COPY . .
# glibc's resolver works in a static binary; with an explicit target, build scripts and macros are not linked statically.
RUN host="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" \
    cargo build --locked --profile "$PROFILE" --package pod-quarantine --bin pod-quarantine --target "$host" \
 && if [ "$PROFILE" = dev ]; then directory=debug; else directory="$PROFILE"; fi \
 && cp "target/$host/$directory/pod-quarantine" /pod-quarantine

FROM scratch
COPY --from=build /pod-quarantine /pod-quarantine
USER 65532:65532
EXPOSE 9090
ENTRYPOINT ["/pod-quarantine"]
CMD ["run"]
