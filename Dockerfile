# The suite with the versions of constraints.txt: docker build -t rigl-bench .
# The install steps are those of `make setup` and of apptainer.def; tests/test_containers.py compares the three, and
# .ci/container lints this file and runs its steps in a fresh virtual environment.
FROM python:3.11-slim-bookworm
# For the storage provider of profiles/kubernetes.
RUN apt-get update && apt-get install -y --no-install-recommends rsync=3.* && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/rigl-bench
COPY . .
RUN python -m pip install --no-cache-dir --quiet --disable-pip-version-check -c constraints.txt torch \
    && python -m pip install --no-cache-dir --quiet --disable-pip-version-check -c constraints.txt -e '.[sparse,kubernetes]'
# Fonts, compiled kernels and the like are kept below HOME, which must be writable whoever the user is.
ENV HOME=/tmp OMP_NUM_THREADS=1
CMD ["rigl-bench", "--help"]
