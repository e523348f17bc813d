"""Prints the examples that lm-evaluation-harness draws when the pool holds copies of the evaluated document: run it and
put its rows into test_build.c. Document 3 of eight is in the pool four times; three shots, document after document."""
from lm_eval.api.samplers import ContextSampler

docs = [{"id": i} for i in range(8)]
pool = docs + [dict(docs[3]) for _ in range(3)]
sampler = ContextSampler(pool, rnd=1234)
for k in range(12):
    drawn = sampler.sample(3, eval_doc=docs[3] if k % 3 else docs[5])
    print("{%s}," % ", ".join(str(next(i for i, d in enumerate(pool) if d is x)) for x in drawn))
