# One static binary on an empty image, as nobody, with a read-only root. Data lives in the volume /data.
FROM node:20-bookworm-slim AS pages
WORKDIR /src/static
COPY static/package.json static/package-lock.json static/.npmrc ./
RUN npm ci --no-audit --no-fund
COPY static ./
RUN npm run build

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
COPY --from=pages /src/static/dist static/dist
ARG VERSION=dev
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=${VERSION}" -o /out/duoduopin ./cmd/duoduopin \
 && install -d -o 65534 -g 65534 /out/data /out/data/pictures /out/data/records

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /out/duoduopin /duoduopin
COPY --from=build --chown=65534:65534 /out/data /data
USER 65534:65534
ENV DUODUOPIN_HTTP_ADDR=:8080 DUODUOPIN_DATA_DIR=/data
VOLUME /data
EXPOSE 8080/tcp 8443/udp 8443/tcp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["/duoduopin", "healthcheck"]
ENTRYPOINT ["/duoduopin"]
CMD ["serve", "--migrate"]
