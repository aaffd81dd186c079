# One recipe for every service:  docker build --build-arg SERVICE=gateway -t parley-gateway .
#
# SERVICE is gateway, rooms or auth. Or it is backup, which is no service (docs/operations.md). BASE is any image with a Python ≥ 3.11 called `python` (with pip and venv).
# A package index other than pip's own is given with --build-arg PIP_INDEX_URL=… (an address, never a password:
# build arguments stay readable in the image's history).
ARG BASE=python:3.13-slim
ARG SERVICE

# What the service needs, by hash, in an environment of its own; pip itself stays behind in this stage.
FROM ${BASE} AS build
ARG SERVICE
ARG PIP_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/${SERVICE}.txt /build/requirements.txt
RUN python -m venv --without-pip /opt/venv \
 && python -m pip --python /opt/venv/bin/python install \
      --require-hashes --only-binary :all: --no-deps --requirement /build/requirements.txt
# The program: what all services share, and this one. Compiled here, because the file system is read-only later.
COPY shared/ /app/shared/
COPY services/__init__.py /app/services/
COPY services/${SERVICE}/ /app/services/${SERVICE}/
RUN /opt/venv/bin/python -m compileall -q /app

FROM ${BASE} AS runtime
ARG SERVICE
ARG VERSION=0.5.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="parley-${SERVICE}" \
      org.opencontainers.image.description="Parley, signaling for people and AI agents: the ${SERVICE} service" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
# The internal port is for probes and metrics inside the container's network; it is never published.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PARLEY_OPS_HOST=0.0.0.0 \
    PARLEY_OPS_PORT=9090
WORKDIR /app
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# A number, so that Kubernetes can see that it is not root; everything above belongs to root and is only read.
USER 10001:10001
STOPSIGNAL SIGTERM
# http.client, because urllib would ask a proxy named in the environment for 127.0.0.1.
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ['PARLEY_OPS_PORT']), timeout=2); c.request('GET', '/healthz'); sys.exit(c.getresponse().status != 200)"]

# An exec-form ENTRYPOINT expands no variables, and a shell in front of Python would be one more process between the
# signals and the service. So each service has its own last stage, and SERVICE chooses among them.
FROM runtime AS run-gateway
# The page and the SDK it is made with, which this service alone serves (where guests are let in).
COPY web/ /app/web/
COPY clients/js/src/ /app/clients/js/src/
EXPOSE 8080
ENTRYPOINT ["python", "-m", "services.gateway"]

FROM runtime AS run-rooms
ENTRYPOINT ["python", "-m", "services.rooms"]

FROM runtime AS run-auth
ENTRYPOINT ["python", "-m", "services.auth"]

# The program for backups knows the table of services, and with it the settings of all of them.
FROM runtime AS run-backup
COPY services/ /app/services/
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "services.backup"]

FROM run-${SERVICE}
