"""recovery.py STORE FAULTS DEVICES A_NODE: when each fault of a campaign was noticed, and when its task went on.

STORE is the campaign's event log; FAULTS has a line a fault, "CAMPAIGN WHAT TASK TIME", TASK "-" where it is nobody's own;
DEVICES are there in all, A_NODE of them on a node. Prints "CAMPAIGN WHAT TASK NOTICED AGAIN BUSY" in seconds: from the fault
until its attempt had failed; until the task was started again (nobody's own: any task); and how much of the time from the
one to the other (nobody's own: from the fault) all devices that were left had other work, or all but one where the task
needs two. "-": nothing failed, or nothing was started again.

A device counts as at work while an attempt runs on it that was not hurt itself: a worker that was stopped keeps its
device from others until that is noticed, which is recovery and no work.
"""
import sqlite3
import sys

ADDED, STARTED, FINISHED, FAILED = 10, 12, 13, 14
GROUP_STARTED, GROUP_LOST, GROUP_DRAINED, QUARANTINED, BACK = 40, 41, 43, 51, 52
ENDS_ALL = {"kill-orchestrator", "end-orchestrator", "first-node-off", "cut-first-link", "warn", "requeue", "preempt"}


class Attempt:
    def __init__(self, task, group, devices, start):
        self.task, self.group, self.devices, self.start = task, group, devices, start
        self.end, self.is_good = float("inf"), False


def read(store):
    """Attempts in their order, and how many nodes are out from when on."""
    names, devices, attempts, outs, out, last_fence = {}, {}, [], [], set(), 0
    rows = sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
        "select wall * 1e-9, fence, kind, task, grp, node, value from event order by seq"
    )
    named = dict(sqlite3.connect(f"file:{store}?mode=ro", uri=True).execute(
        f"select task, text from event where kind = {ADDED}"))
    for at, fence, kind, task, group, node, value in rows:
        names[task] = named.get(task, "-")
        if fence != last_fence:  # another orchestrator, which begins with all its nodes
            out, last_fence = set(), fence
            outs.append((at, 0))
        if kind == GROUP_STARTED:
            devices[group] = value
        elif kind == STARTED:
            attempts.append(Attempt(names[task], group, devices[group], at))
        elif kind in (FINISHED, FAILED):
            end(at, [a for a in attempts if a.task == names[task]], kind == FINISHED)
        elif kind in (GROUP_LOST, GROUP_DRAINED):
            end(at, [a for a in attempts if a.group == group], False)
        elif kind in (QUARANTINED, BACK):
            (out.add if kind == QUARANTINED else out.discard)(node)
            outs.append((at, len(out)))
    return attempts, outs


def end(at, attempts, is_good):
    for a in attempts:
        if a.end == float("inf"):
            a.end, a.is_good = at, is_good


def work(attempts, faults):
    """From when to when each attempt really ran, on how many devices."""
    spans = []
    for a in attempts:
        hurt = [t for _, what, task, t in faults if t >= a.start and (task == a.task or what in ENDS_ALL)]
        spans.append((a.start, min([a.end] + hurt), a.devices))
    return spans


def busy(begin, finish, need, spans, outs, total, a_node):
    """Seconds of [begin, finish) in which fewer than `need` devices had nothing to do."""
    cuts = sorted({begin, finish} | {t for s in spans for t in s[:2] if begin < t < finish}
                  | {t for t, _ in outs if begin < t < finish})
    seconds = 0
    for a, b in zip(cuts, cuts[1:]):
        out = [n for t, n in outs if t <= a]
        left = total - a_node * (out[-1] if out else 0)
        used = sum(n for start, stop, n in spans if start <= a < stop)
        seconds += b - a if left - used < need else 0
    return seconds


def main(store, faults, total, a_node):
    attempts, outs = read(store)
    faults = [(c, what, task, float(t)) for c, what, task, t in (line.split() for line in open(faults))]
    spans = work(attempts, faults)
    for c, what, task, at in faults:
        own = [a for a in attempts if task in ("-", a.task)]
        ended = [a for a in own if task != "-" and a.start <= at < a.end]
        noticed = ended[0].end if ended and not ended[0].is_good and ended[0].end < float("inf") else None
        again = min((a.start for a in own if a.start > at), default=None)
        begin, need = (at, 1) if task == "-" else (noticed, own[0].devices if own else 1)
        if begin is None:
            again = None  # it was done before anything was noticed
        waited = busy(begin, again, need, spans, outs, total, a_node) if again else 0
        seconds = [noticed and noticed - at, again and again - at, waited]
        print(c, what, task, *(f"{s:.2f}" if s else "-" for s in seconds))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
