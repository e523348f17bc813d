# serve_lib.sh: `muster serve` in the background, for scripts that ask it. Sourced after muster=PROGRAM; dir is a folder of the
# script's own, which goes, with the server, at the end.
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$dir"' EXIT

fail() {
    echo "not ok: $1" >&2
    cat "$dir/said" >&2 2>/dev/null || true
    exit 1
}

serve() { # options...: sets server, and url once it listens
    : >"$dir/out" # before: a redirection in the background may come later
    "$muster" serve --port 0 "$@" >"$dir/out" 2>"$dir/said" &
    server=$!
    for _ in $(seq 600); do
        url=$(sed -n 's/^listening on \(http:[^ ]*\) .*/\1/p' "$dir/out")
        [ -z "$url" ] || return 0
        sleep 0.1
    done
    fail "the server does not start: $(cat "$dir/out")"
}

end() {
    kill "$server"
    wait "$server" || fail "it ends with status $?"
    server=
}
