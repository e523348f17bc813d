"""Writes the files in golden/ with the formats' own Python packages, and the values that they read from them.

    pip install torch safetensors gguf numpy
    python tests/fmt/make_golden.py

X.values.safetensors holds, as F32, what the package makes of each tensor in X.
"""
import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import load_file, save_file

OUT = pathlib.Path(__file__).parent / "golden"


def values(path, tensors):
    save_file({k: v.to(torch.float32).contiguous() for k, v in tensors.items()}, path)


def safetensors_dtypes():
    torch.manual_seed(1)
    x = torch.randn(5, 7, 3) * torch.logspace(-6, 4, 7).reshape(1, 7, 1)
    every_byte = torch.arange(256, dtype=torch.uint8)
    t = {
        "f64": x.double(), "f32": x.float(), "f16": x.half(), "bf16": x.bfloat16(),
        "f8_e4m3": every_byte.clone().view(torch.float8_e4m3fn), "f8_e5m2": every_byte.clone().view(torch.float8_e5m2),
        "i64": torch.tensor([-(2**40), 3]), "i32": torch.tensor([[-(2**30)], [7]], dtype=torch.int32),
        "i16": torch.tensor([-32768, 32767, 5], dtype=torch.int16), "i8": torch.tensor([-128, 127], dtype=torch.int8),
        "u8": every_byte, "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(2.5), "empty": torch.zeros(0, 4),
    }
    save_file(t, OUT / "dtypes.safetensors", metadata={"format": "pt", "note": "every dtype torch can write"})
    values(OUT / "dtypes.values.safetensors", load_file(OUT / "dtypes.safetensors"))


def safetensors_shards():
    torch.manual_seed(2)
    t = {f"model.layers.{i}.weight": torch.randn(3, 4 + i) for i in range(6)}
    folder = OUT / "sharded"
    folder.mkdir(exist_ok=True)
    names = sorted(t)
    where = {}
    for s in range(3):
        file = f"model-{s + 1:05d}-of-00003.safetensors"
        part = {n: t[n] for n in names[2 * s : 2 * s + 2]}
        if s == 1:
            part["not.listed"] = torch.ones(2)
        save_file(part, folder / file, metadata={"format": "pt"})
        where.update({n: file for n in part if n in t})
    size = sum(v.numel() * 4 for v in t.values())
    index = {"metadata": {"total_size": size}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    values(OUT / "sharded.values.safetensors", t)


def random_blocks(rng, rows, blocks, kind, scales_at):
    """Random blocks with sane f16 scales at the given byte offsets."""
    size = gguf.GGML_QUANT_SIZES[kind][1]
    raw = rng.integers(0, 256, (rows, blocks, size), dtype=np.uint8)
    for at in scales_at:
        scale = rng.normal(0, 0.05, (rows, blocks, 1)).astype(np.float16)
        raw[:, :, at : at + 2] = scale.view(np.uint8)
    return raw.reshape(rows, blocks * size)


def gguf_types():
    rng = np.random.default_rng(3)
    kinds = gguf.GGMLQuantizationType
    w = gguf.GGUFWriter(OUT / "types.gguf", "llama")
    for name, n in (("uint8", 200), ("int8", -100), ("uint16", 60000), ("int16", -30000), ("uint32", 4000000000),
                    ("int32", -2000000000), ("uint64", 2**63 - 1), ("int64", -(2**62))):
        getattr(w, "add_" + name)("test." + name, n)
    w.add_float32("test.float32", 1.5)
    w.add_float64("test.float64", 0.1)
    w.add_bool("test.bool", True)
    w.add_string("test.string", "Grüße")
    w.add_array("test.strings", ["a", "", "ßt"])
    w.add_array("test.ints", [1, -2, 3])
    w.add_array("test.floats", [0.5, -0.25])
    w.add_array("test.nested", [[1, 2], [3]])
    x = rng.normal(0, 1, (3, 5)).astype(np.float32)
    data = {
        "f32": (x, None), "f16": (x.astype(np.float16), None), "f64": (x.astype(np.float64), None),
        "bf16": (gguf.quants.quantize(x, kinds.BF16), kinds.BF16),
        "q8_0": (gguf.quants.quantize(rng.normal(0, 1, (3, 64)).astype(np.float32), kinds.Q8_0), kinds.Q8_0),
        "q4_0": (gguf.quants.quantize(rng.normal(0, 1, (2, 96)).astype(np.float32), kinds.Q4_0), kinds.Q4_0),
        "q4_k": (random_blocks(rng, 3, 2, kinds.Q4_K, (0, 2)), kinds.Q4_K),
        "q6_k": (random_blocks(rng, 3, 2, kinds.Q6_K, (208,)), kinds.Q6_K),
        "q5_1": (gguf.quants.quantize(rng.normal(0, 1, (2, 32)).astype(np.float32), kinds.Q5_1), kinds.Q5_1),
        "i32": (np.array([[1, -2, 3]], dtype=np.int32), None),
    }
    for name, (raw, kind) in data.items():
        w.add_tensor(name, raw, raw_dtype=kind)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    read = {t.name: t for t in gguf.GGUFReader(OUT / "types.gguf").tensors}
    out = {}
    for name, t in read.items():
        if name == "q5_1":
            continue
        plain = t.data if t.data.dtype.kind in "fi" else gguf.quants.dequantize(t.data, t.tensor_type)
        out[name] = torch.from_numpy(np.array(plain, dtype=np.float32).reshape(tuple(t.shape)[::-1]))
    values(OUT / "types.values.safetensors", out)


def gguf_split():
    folder = OUT / "split"
    folder.mkdir(exist_ok=True)
    w = gguf.GGUFWriter(folder / "tiny.gguf", "llama", split_max_tensors=2)
    w.add_string("test.where", "first part")
    for i in range(5):
        w.add_tensor(f"blk.{i}.weight", np.arange(i, i + 6, dtype=np.float32).reshape(2, 3))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


OUT.mkdir(exist_ok=True)
safetensors_dtypes()
safetensors_shards()
gguf_types()
gguf_split()
