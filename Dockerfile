# Helix-Throttle: the live page, and runs started from it or with `docker exec`.
#
#   docker build -t helix-throttle .
#   docker run --publish 127.0.0.1:8501:8501 --volume helix:/data --stop-timeout 60 --env-file .env helix-throttle
#
# Then open http://127.0.0.1:8501: the port is published to this machine only. Results (PostgreSQL, spool, reports) live in the volume
# /data. The page's controls are unlocked by HELIX_CONTROL_TOKEN, or, where that is not set, by a code that the container prints when
# it starts. `docker stop` lets every run store what is in flight, for which Docker's usual 10 seconds may be too short.
#
# Docker's default /dev/shm of 64 MB is enough: Ray's object store of 100 MB then lives in a file in Ray's temporary folder.
# Reads never pass through the store, so nothing gets slower; Ray says so in one warning, which --shm-size=256m silences.

FROM rust:1.95-bookworm AS rust

FROM python:3.11-bookworm AS build
COPY --from=rust /usr/local/rustup /usr/local/rustup
COPY --from=rust /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup \
    CARGO_HOME=/usr/local/cargo \
    PATH=/usr/local/cargo/bin:$PATH \
    PIP_NO_CACHE_DIR=1 \
    PIP_CONSTRAINT=/src/constraints.txt
WORKDIR /src
# The packages first: they change less often than the sources. The virtual environment is copied to the same path below.
COPY pyproject.toml constraints.txt ./
RUN python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"], sep="\n")' > /tmp/runtime.txt \
    && python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' > /tmp/build.txt \
    && python -m venv --without-pip /opt/helix \
    && pip --python /opt/helix/bin/python install --requirement /tmp/runtime.txt \
    && pip install --requirement /tmp/build.txt
COPY . .
RUN python -m maturin build --release --locked --compatibility linux --interpreter python3.11 --out /tmp/wheels \
    && pip --python /opt/helix/bin/python install --no-deps /tmp/wheels/*.whl \
    && rm -r /opt/helix/lib/python3.11/site-packages/ray/jars /opt/helix/lib/python3.11/site-packages/ray/rllib

FROM python:3.11-slim-bookworm
# tini reaps the processes that a run leaves behind and passes SIGTERM on; Debian's stable release fixes its version. Nothing is
# installed in a container, so pip is not there either.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends tini \
    && rm -rf /var/lib/apt/lists/* \
    && python -m pip uninstall --yes pip setuptools wheel \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin helix \
    && install -d -o helix -g helix -m 0700 /data
COPY --from=build /opt/helix /opt/helix
COPY --chmod=0755 deploy/helix_page.py /usr/local/bin/helix-page
ENV PATH=/opt/helix/bin:$PATH \
    HELIX_HOME=/data \
    RAY_USAGE_STATS_ENABLED=0 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /home/helix
VOLUME /data
EXPOSE 8501
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
ENTRYPOINT ["tini", "--"]
# The page listens on 0.0.0.0 here only: a port can be published from no other address of a container.
CMD ["helix-page"]
