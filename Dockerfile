# km, and a Mesos agent image that has km beside it.
ARG NODE_IMAGE=node:24-bookworm-slim
ARG MESOS_AGENT_IMAGE=mesosphere/mesos-slave:1.7.1

FROM ${NODE_IMAGE} AS km
WORKDIR /opt/km
COPY package.json package-lock.json ./
# Packages are installed anew only when their list changes: before the sources, and so without km's own script. What others would
# compile, the native ZooKeeper client, there is no compiler for; km has one of its own.
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-fund --no-audit
COPY . .
ENTRYPOINT ["node", "/opt/km/cli/km.ts"]

FROM ${MESOS_AGENT_IMAGE} AS agent
COPY --from=km /usr/local/bin/node /usr/local/bin/node
# Better now than with the first pod: an image with a glibc before 2.28 cannot run it, and the one named above has an older one.
RUN /usr/local/bin/node --version || { echo 'Node does not start here, as with a glibc before 2.28: name an image with a newer one by MESOS_AGENT_IMAGE (docs/install.md)'; exit 1; }
COPY --from=km /opt/km /opt/km
