# results_lib.sh: what the scripts of this folder share. Sourced; sets nothing but functions.

# The samples and results of a run under DIR, put into ONE as files without dates: what must be the same byte for byte.
# Of the results all but "date", "total_evaluation_time_seconds" and "run" counts, which tell of the process.
collect() { # DIR ONE
    mkdir -p "$2"
    newest=$(find "$1" -name 'results_*.json' | sort | tail -1)
    [ -n "$newest" ] || { echo "no results under $1" >&2; return 1; }
    sed -e '/^  "run": {/,/^  }/d' -e '/^  "date": /d' -e '/^  "total_evaluation_time_seconds": /d' "$newest" >"$2/results.json"
    date=$(basename "$newest" .json)
    date=${date#results_}
    for f in "$(dirname "$newest")"/samples_*_"$date".jsonl; do
        name=$(basename "$f")
        cp "$f" "$2/${name%_"$date".jsonl}.jsonl"
    done
}

same() { # ONE OTHER WHAT
    diff -rq "$1" "$2" >/dev/null || {
        echo "not ok: $3" >&2
        diff -r "$1" "$2" | head -20 | cut -c1-300 >&2
        return 1
    }
}

# A program of the script's own name, in $dir/bin, in place of $muster: its processes are told from others'.
own_program() {
    mkdir "$dir/bin"
    cp "$muster" "$dir/bin/muster"
    cp "$(dirname "$muster")"/*.so "$dir/bin/" 2>/dev/null || true # ranks, where they are built
    muster=$dir/bin/muster
}
