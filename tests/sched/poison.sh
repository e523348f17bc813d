#!/bin/bash
# poison.sh MUSTER: a campaign one of whose documents kills each worker that computes it: the server that computes for them
# sends SIGSEGV to who asks for it. It is found and left out, the results, the status and the alert say so, and all other
# documents have the very samples of a run in which nobody died.
set -eu
muster=$1
# shellcheck source=/dev/null
. "$(dirname "$0")/run_lib.sh"
# shellcheck source=/dev/null
. "$(dirname "$0")/../eval/results_lib.sh"
own_program
bad=6 # of 0 to 11, which is document 2 of the second of three tasks

# The answer to a prompt is its checksum. Who asks for what stands in $dir/deadly is killed: all children of $dir/run.
cat >"$dir/server.py" <<'END'
import http.server, json, os, signal, sys, zlib
dir = sys.argv[1]
def read(name):
    try:
        return open(f"{dir}/{name}").read().strip()
    except OSError:
        return None
class Server(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *_): pass
    def say(self, o):
        body = json.dumps(o).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.say({"object": "list", "data": [{"id": "m", "object": "model"}]})
    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = str(zlib.crc32(json.dumps(ask["prompt"]).encode()))
        if text == read("deadly"):
            run = read("run")
            for p in open(f"/proc/{run}/task/{run}/children").read().split():
                os.kill(int(p), signal.SIGSEGV)
            print("killed", flush=True)
            return
        self.say({"id": "1", "object": "text_completion", "model": "m",
                  "choices": [{"index": 0, "text": text, "finish_reason": "stop", "logprobs": None}],
                  "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}})
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
server.daemon_threads = True
open(f"{dir}/port", "w").write(f"{server.server_address[1]}\n")
server.serve_forever()
END
python3 "$dir/server.py" "$dir" >"$dir/kills" 2>"$dir/err_server" &
disown # it is killed in the end, which is no news
for _ in $(seq 500); do [ -s "$dir/port" ] && break; sleep 0.02; done

campaign() { # OUTPUT
    cat <<END
output: $1
models: [{model: models/muster-llama-tiny, endpoint: "http://127.0.0.1:$(cat "$dir/port")"}]
suites: [{name: texts, tasks: muster_generate, limit: 4, log_samples: true}]
settings: [{retries: {limit: 2, wait: 0s, wait_max: 0s}}]
alerts: {command: "cat >>$dir/alerts; echo >>$dir/alerts"}
END
}

campaign "$dir/whole" >"$dir/whole.yaml"
"$muster" run "$dir/whole.yaml" -q >"$dir/out" 2>"$dir/err" || fail "undisturbed"
collect "$dir/whole/muster-llama-tiny/texts" "$dir/want"
cp "$newest" "$dir/want.json"
rm -f "$dir/alerts"

# The tasks in the order of their documents' numbers, and what the server says to the bad one.
python3 - "$dir" $bad >"$dir/deadly" <<'END' || fail "no samples"
import json, sys
dir, bad = sys.argv[1], int(sys.argv[2])
tasks = list(json.load(open(f"{dir}/want.json"))["audit"]["tasks"])
lines = [json.loads(l) for l in open(f"{dir}/want/samples_{tasks[bad // 4]}.jsonl")]
print(next(l["resps"][0][0] for l in lines if l["doc_id"] == bad % 4))
END

campaign "$dir/hurt" >"$dir/hurt.yaml"
"$muster" run "$dir/hurt.yaml" >"$dir/out" 2>"$dir/err" &
run=$!
echo $run >"$dir/run"
status=0
wait $run || status=$?
[ $status = 0 ] || fail "it ended with $status"
kills=$(wc -l <"$dir/kills")
[ "$kills" -ge 4 ] || fail "only $kills workers were killed"
grep -q '^1 tasks, 1 finished; 1 request skipped' "$dir/out" || fail "status: $(head -1 "$dir/out")"
grep -q "request skipped: document $bad killed each worker that computed it" "$dir/err" || fail "nobody told of it"
grep -q '"kind": "request_skipped"' "$dir/alerts" || fail "no alert: $(cat "$dir/alerts")"
collect "$dir/hurt/muster-llama-tiny/texts" "$dir/got"
cp "$newest" "$dir/got.json"
python3 - "$dir" $bad <<'END' || fail "other samples or results than they should be"
import json, sys
dir, bad = sys.argv[1], int(sys.argv[2])
want, got = (json.load(open(f"{dir}/{w}.json")) for w in ("want", "got"))
tasks = list(want["audit"]["tasks"])
for t, task in enumerate(tasks):
    lines = {w: open(f"{dir}/{w}/samples_{task}.jsonl").read().splitlines() for w in ("want", "got")}
    there = [l for l in lines["want"] if json.loads(l)["doc_id"] + 4 * t != bad]
    assert lines["got"] == there, task
    assert got["n-samples"][task]["effective"] == (3 if t == bad // 4 else 4)
    if t != bad // 4:
        assert got["results"][task] == want["results"][task]
skipped = got["audit"]["skipped"]
assert [(s["task"], s["doc_id"], s["document"]) for s in skipped] == [(tasks[bad // 4], bad % 4, bad)], skipped
assert "killed each worker" in skipped[0]["why"]
assert "skipped" not in want["audit"]
END
echo "found after $kills deaths"
