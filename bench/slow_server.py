"""An OpenAI-compatible server that computes nothing and takes its time: stands for a device in bench/campaign.sh.

The path says how long: in /ms=10,open=2/v1 an answer takes 10 ms, however many are asked for at once, and the list of
models, which a client asks for when it opens one, 2 s: these stand for loading weights. Prints its port.
"""
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def seconds(path):
    pace = {k: float(v) for k, v in (part.split("=") for part in path.split("/")[1].split(","))}
    return pace["ms"] / 1000, pace["open"]


def scores(prompt):
    """Of every token the same, so that answers depend on lengths alone."""
    names = [f"token_id:{t}" for t in prompt]
    return {"tokens": names, "token_logprobs": [None] + [-1.0] * (len(names) - 1),
            "top_logprobs": [None] + [{n: -1.0} for n in names[1:]]}


def texts(n):
    return {"tokens": ["token_id:16"] * n, "token_logprobs": [-1.0] * n, "top_logprobs": [{"token_id:16": -1.0}] * n}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer in two writes would wait 40 ms for the client
    wbufsize = 65536

    def log_message(self, *_):
        pass

    def answer(self, body):
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        self.wfile.flush()

    def do_GET(self):
        time.sleep(seconds(self.path)[1])
        self.answer({"object": "list", "data": [{"id": "slow", "object": "model"}]})

    def do_POST(self):
        ask = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(seconds(self.path)[0])
        prompt = ask["prompt"] if isinstance(ask["prompt"][0], int) else ask["prompt"][0]
        logprobs = scores(prompt) if ask.get("echo") else texts(1)
        self.answer({"object": "text_completion", "model": ask["model"],
                     "choices": [{"index": 0, "text": "1", "finish_reason": "stop", "logprobs": logprobs}],
                     "usage": {"prompt_tokens": len(prompt), "completion_tokens": 1}})


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
print(server.server_port, flush=True)
server.serve_forever()
