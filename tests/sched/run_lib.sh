# run_lib.sh: for scripts that run campaigns: a folder of the script's own, $dir, whose name is in the command line of all
# that it starts; nothing of it is left behind. Sourced by bash.
dir=$(mktemp -d)

alive() { pgrep -f "$dir/" || true; }
cleanup() {
    for p in $(alive); do kill -9 "$p" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap cleanup EXIT
fail() {
    echo "failed: $*" >&2
    tail -n 20 "$dir"/err* "$dir"/told >&2 2>/dev/null
    exit 1
}
