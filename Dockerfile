# km, and a Mesos agent image that has km beside it.
ARG MESOS_AGENT_IMAGE=mesosphere/mesos-slave:1.7.1

FROM node:24-bookworm-slim AS km
WORKDIR /opt/km
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --no-fund --no-audit
COPY . .
ENTRYPOINT ["node", "/opt/km/cli/km.ts"]

FROM ${MESOS_AGENT_IMAGE} AS agent
COPY --from=km /usr/local/bin/node /usr/local/bin/node
COPY --from=km /opt/km /opt/km
