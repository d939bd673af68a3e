# The broker and its command, without what only builds and tests need. docs/IMAGE.md tells what is in it.
#   docker build -t sluice:0.1.0 .
#   docker run --init -p 9400:9400 -e SLUICE_BROKER__ADVERTISED_ADDRESS=localhost:9400 -v sluice:/var/lib/sluice sluice:0.1.0
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
COPY clients/typescript/package.json clients/typescript/
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.base.json tsconfig.build.json ./
COPY scripts/prune-image.mjs scripts/
COPY src src
COPY clients/typescript/src clients/typescript/src
RUN node node_modules/typescript/bin/tsc -p tsconfig.build.json
RUN npm prune --omit=dev --ignore-scripts --no-audit --no-fund
RUN node scripts/prune-image.mjs

# Of Node's image the program alone: npm, headers and yarn are 50 MB that a broker never uses.
FROM debian:bookworm-slim
# libstdc++6: of Node. libatomic1: the storage engine links it. tini: passes on signals and reaps, as `docker run --init` would.
RUN apt-get update && apt-get install -y --no-install-recommends libstdc++6 libatomic1 tini && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/node /usr/local/bin/node
RUN mkdir -p /var/lib/sluice && chown 10001:10001 /var/lib/sluice
WORKDIR /app
COPY package.json ./
COPY bin bin
COPY proto/sluice.binpb proto/
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
ENV NODE_ENV=production UV_THREADPOOL_SIZE=8
USER 10001:10001
VOLUME /var/lib/sluice
EXPOSE 9400 9401 9464
ENTRYPOINT ["tini", "--", "node", "/app/dist/src/main.js"]
CMD ["--set", "storage.dataDir=/var/lib/sluice/data", "--set", "listen.client.host=0.0.0.0", "--set", "listen.http.host=0.0.0.0"]
