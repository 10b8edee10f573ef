# The image: mlgate in front of MLNode, on the base that Dockerfile.base makes.
#   docker build -t ghcr.io/your-org/gonka-mlnode-public:latest .
ARG BASE_IMAGE=ghcr.io/your-org/gonka-mlnode-public-base:latest
ARG BUILD_IMAGE=debian:bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY script/bootstrap script/bootstrap
RUN script/bootstrap build
COPY . .
RUN script/build

FROM ${BASE_IMAGE}
COPY --from=build /src/build/mlgate /usr/local/bin/mlgate
# The binary has this file inside and writes it where it is missing; here nothing needs writing.
COPY --from=build /src/build/mlgate-bind.so /usr/local/lib/mlgate/mlgate-bind.so
# No port is exposed: platforms publish what an image exposes, and everything here is reached
# through the tunnel.
STOPSIGNAL SIGTERM
# Shows up in `docker ps`. What restarts containers should ask `mlgate health --live` instead, which
# does not depend on the network node: a reload of the model takes many minutes.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["/usr/local/bin/mlgate", "health"]
ENTRYPOINT ["/usr/local/bin/mlgate"]
CMD ["run"]
