# Casebook in a container: one image, and the command says which process it is (`casebook web`, `casebook worker`).
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/casebook
RUN python -m venv .venv
COPY requirements.lock requirements-build.lock ./
RUN .venv/bin/pip install --require-hashes -r requirements-build.lock -r requirements.lock
COPY . .
RUN .venv/bin/pip install --no-deps --no-build-isolation --no-index -e .

FROM python:3.11-slim-bookworm
# pg_dump and pg_restore, of the version that compose.yaml runs, for `casebook backup` and `restore`.
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client && rm -rf /var/lib/apt/lists/*
RUN useradd --system --uid 10001 --home-dir /var/lib/casebook --create-home casebook && chmod 700 /var/lib/casebook
COPY --from=build /srv/casebook /srv/casebook
WORKDIR /srv/casebook
ENV PATH=/srv/casebook/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    CASEBOOK_ENV=production \
    CASEBOOK_HOST=0.0.0.0 \
    CASEBOOK_PORT=8000 \
    CASEBOOK_DATA_DIR=/var/lib/casebook
USER casebook
VOLUME /var/lib/casebook
EXPOSE 8000
CMD ["casebook", "web"]
