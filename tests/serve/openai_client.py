"""openai_client.py MUSTER MODEL - the `openai` package against `muster serve`: every call it makes must work

Run by hand: /path/to/python tests/serve/openai_client.py build/release/bin/muster models/muster-llama-tiny
"""

import math
import os
import tempfile

from serve_process import Served, arguments

muster, model = arguments(["openai"])
import openai  # noqa: E402

KEY = "a-key-of-the-test"
PROMPT = "Question: What is 12 plus 7?\nAnswer:"
CHAT = [{"role": "user", "content": "What is 12 plus 7?"}]
n_checks = 0


def check(condition, what):
    global n_checks
    n_checks += 1
    print(f"{'ok' if condition else 'not ok'} {n_checks} - {what}")
    if not condition:
        raise SystemExit(1)


def refused(kind, call):
    try:
        call()
    except kind as e:
        return e
    return None


def completions(client, name):
    ask = dict(model=name, prompt=PROMPT, max_tokens=12, temperature=0)
    whole = client.completions.create(**ask)
    check(whole.choices[0].text and whole.usage.completion_tokens <= 12, "a completion")
    again = client.completions.create(**ask)
    check(whole.choices[0].text == again.choices[0].text, "the same twice")
    parts = list(client.completions.create(**ask, stream=True, stream_options={"include_usage": True}))
    check("".join(p.choices[0].text for p in parts if p.choices) == whole.choices[0].text, "the same as a stream")
    check(parts[-1].usage.completion_tokens == whole.usage.completion_tokens, "usage at the end of a stream")
    many = client.completions.create(model=name, prompt=[PROMPT, "Once"], max_tokens=4, n=3, seed=5)
    check([c.index for c in many.choices] == list(range(6)), "two prompts, three choices each")
    same = client.completions.create(model=name, prompt=[PROMPT, "Once"], max_tokens=4, n=3, seed=5)
    check([c.text for c in many.choices] == [c.text for c in same.choices], "a seed repeats the draws")
    stop = client.completions.create(**ask, stop=["+"])
    check("+" not in stop.choices[0].text and stop.choices[0].finish_reason == "stop", "a stop string")


def logprobs(client, name):
    scored = client.completions.create(
        model=name, prompt=[0, 300, 301, 302], max_tokens=1, temperature=0, echo=True, logprobs=1
    ).choices[0].logprobs
    check(scored.token_logprobs[0] is None and scored.top_logprobs[0] is None, "the first token has no log-probability")
    check(len(scored.token_logprobs) == 5, "echo and one token")
    check(all(l <= max(t.values()) for l, t in zip(scored.token_logprobs[1:], scored.top_logprobs[1:])), "best is best")
    full = client.completions.create(model=name, prompt="Who", max_tokens=3, temperature=0, logprobs=20)
    total = [sum(math.exp(v) for v in t.values()) for t in full.choices[0].logprobs.top_logprobs]
    check(all(t <= 1 + 1e-6 for t in total), "probabilities")


def chats(client, name):
    ask = dict(model=name, messages=CHAT, max_tokens=10, temperature=0)
    whole = client.chat.completions.create(**ask, logprobs=True, top_logprobs=2)
    content = whole.choices[0].logprobs.content
    check(whole.choices[0].message.role == "assistant", "a chat")
    check(bytes(b for t in content for b in t.bytes).decode().startswith(whole.choices[0].message.content), "bytes")
    parts = list(client.chat.completions.create(**ask, stream=True))
    check("".join(p.choices[0].delta.content or "" for p in parts) == whole.choices[0].message.content, "streamed chat")
    check(parts[0].choices[0].delta.role == "assistant", "the role comes first")
    parts = client.chat.completions.create(
        model=name, messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}], max_completion_tokens=3
    )
    check(parts.usage.completion_tokens <= 3, "content in parts")


def refusals(client, name, url):
    e = refused(openai.NotFoundError, lambda: client.completions.create(model="another", prompt="x"))
    check(e is not None and e.code == "model_not_found", "another model is not found")
    e = refused(openai.BadRequestError, lambda: client.completions.create(model=name, prompt="x", max_tokens=10**6))
    check(e is not None and e.code == "context_length_exceeded", "too long a text")
    e = refused(openai.BadRequestError, lambda: client.completions.create(model=name, prompt="x", temperature=-1))
    check(e is not None and e.param == "temperature", "an impossible temperature")
    stranger = openai.OpenAI(base_url=url + "/v1", api_key="wrong", max_retries=0)
    check(refused(openai.AuthenticationError, lambda: stranger.models.list()), "a wrong key")
    big = "x" * (20 << 20)
    e = refused(openai.APIStatusError, lambda: client.completions.create(model=name, prompt=big))
    check(e is not None and e.status_code == 413, "too large a body")


with tempfile.TemporaryDirectory() as folder:
    keys = os.path.join(folder, "keys")
    with open(keys, "w") as f:
        f.write(f"another-key\n\n{KEY}\n")
    with Served(muster, model, "--api-key-file", keys) as url:
        client = openai.OpenAI(base_url=url + "/v1", api_key=KEY, max_retries=0)
        name = client.models.list().data[0].id
        check(client.models.retrieve(name).id == name, "the model by its name")
        completions(client, name)
        logprobs(client, name)
        chats(client, name)
        refusals(client, name, url)
print(f"1..{n_checks}")
