# syntax=docker/dockerfile:1
# One image, two programs: the engine (the default) and the viewer. Nothing secret is copied in: see .dockerignore.
ARG PYTHON_IMAGE=python:3.11.14-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
COPY requirements.txt /tmp/requirements.txt
# Every file that is fetched has the hash the lock names; nothing is built from source but ta, which exists no other way.
RUN /opt/venv/bin/python -m pip install --require-hashes --only-binary :all: --no-binary ta \
    --requirement /tmp/requirements.txt

FROM ${PYTHON_IMAGE}
# Compiled kernels go to the cache folder, which is memory: a new program never meets kernels of an old one.
ENV PATH=/opt/venv/bin:${PATH} PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp XDG_CACHE_HOME=/tmp/cache
RUN groupadd --gid 10001 trader \
 && useradd --uid 10001 --gid trader --no-create-home --home-dir /tmp --shell /usr/sbin/nologin trader \
 && install --directory --owner trader --group trader --mode 0700 /srv/trader
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY core ./core
COPY .streamlit ./.streamlit
COPY LICENSE dashboard.py scheduler_run.py ./
RUN python -m compileall -q core
# A new named volume begins with what lies here. The configuration is in it, since tuning writes thresholds into it.
COPY --chown=trader:trader --chmod=0600 config.yaml /srv/trader/config.yaml
USER 10001:10001
VOLUME /srv/trader
# No shell in between: the engine is process 1, gets SIGTERM itself and ends within ten seconds.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=60s --timeout=20s --start-period=180s --retries=3 \
  CMD ["python", "-m", "core", "health", "--config", "/srv/trader/config.yaml"]
CMD ["python", "scheduler_run.py", "--config", "/srv/trader/config.yaml"]
