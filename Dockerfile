# SPDX-License-Identifier: Apache-2.0
#
# Caddy with this module and, unless PLUGINS says otherwise, with a storage that several nodes can
# share. docs/operations.md says how to run it.
#
#	docker build -t caddy-authenticated-api .
#	docker build --build-arg PLUGINS="github.com/a/b@v1.2.3 github.com/c/d@v4.5.6" .

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
ARG CADDY_VERSION=v2.11.9
ARG XCADDY_VERSION=v0.4.7
ARG PLUGINS="github.com/pberkel/caddy-storage-redis@v1.8.1"
ARG TARGETOS TARGETARCH TARGETVARIANT
RUN go install github.com/caddyserver/xcaddy/cmd/xcaddy@${XCADDY_VERSION}
WORKDIR /src
COPY . .
# A static binary needs nothing of the image that it runs in. GOARM is 6 for linux/arm/v6.
RUN with=""; for plugin in $PLUGINS; do with="$with --with $plugin"; done; \
	CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH GOARM=${TARGETVARIANT#v} \
	xcaddy build ${CADDY_VERSION} --output /out/usr/bin/caddy \
		--with github.com/authenticated-api/caddy-authenticated-api@v0.0.0=. $with
# Both volumes belong to the user: tokens are in /data, and a key that Caddy makes is in /config.
RUN mkdir -p /out/data /out/config /out/etc/caddy

# It has certificates of authorities, a user 65532 and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build --chown=0:0 /out/usr/bin/caddy /usr/bin/caddy
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build --chown=65532:65532 /out/config /config
COPY --chown=0:0 packaging/Caddyfile /etc/caddy/Caddyfile
ENV XDG_DATA_HOME=/data XDG_CONFIG_HOME=/config
VOLUME ["/data", "/config"]
EXPOSE 80 443 443/udp
USER 65532:65532
WORKDIR /config
ENTRYPOINT ["/usr/bin/caddy"]
CMD ["run", "--config", "/etc/caddy/Caddyfile"]
