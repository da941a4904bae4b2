#!/bin/sh
# In a clone, or in the empty folder that a pod starts in: what is below results/ is on the volume, by both of the ways that lead
# there, the suite's own (results/runs) and that of Snakemake's storage provider fs.  usage: share.sh VOLUME
set -eu
volume=${1:?usage: share.sh VOLUME}
provider=.snakemake/storage/fs$volume/storage
mkdir -p results "$provider"
for part in runs cache plans logs figures/runs tables/runs landscape leaderboard claims paper/runs flops benchmarks; do
    mkdir -p "$volume/results/$part" "$(dirname "results/$part")"
    if [ -d "results/$part" ] && [ ! -L "results/$part" ]; then
        rmdir "results/$part" || { echo "results/$part is not empty: move it to $volume/results" >&2; exit 2; }
    fi
    ln -sfn "$volume/results/$part" "results/$part"
done
ln -sfn "$volume/results" "$provider/results"
