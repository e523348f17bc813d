#!/usr/bin/env python3
"""Write small random checkpoints and the outputs that Hugging Face transformers computes from them.

    python tools/golden/make_golden.py [--out tests/golden] [--date YYYY-MM-DD] [case ...]

Every case of the table CASES becomes a folder with config.json, safetensors and golden.json. The same seed is found
again on every run, so a second run writes the same bytes (same package versions, see requirements.txt).
tests/golden/README.md describes the files, tests/golden/NOTES.md what an implementer must know.
"""

import argparse
import copy
import datetime
import json
import math
import shutil
import tempfile
import unittest.mock
import zlib
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file, save_file

N_GREEDY = 64
MIN_GAP = 1e-3       # top-1 minus top-2, in units of the largest |logit|
MAX_SEEDS = 400

# --- the table of cases --------------------------------------------------------------------------------------------
#
# A case is a config as publishers write it, plus:
#   form     "v4": config.json is the dict below, as transformers 4.x and publishers write it (rope_theta, rope_scaling,
#            torch_dtype); "v5": config.json is what transformers 5 saves (rope_parameters, dtype, all defaults)
#   lengths  of the two prompts
#   dtype    of the weights on disk: f32, bf16, f16, fp8
#   shards   number of safetensors files (more than one: with an index)
#   attn     attention implementation that decides (eager, except where eager is wrong)
#   extra    function that adds to or renames the tensors on disk, as publishers' files have them


def llama(hidden, heads, kv, inter, layers=2, vocab=96, **more):
    return dict(architectures=["LlamaForCausalLM"], model_type="llama", bos_token_id=1, eos_token_id=2,
                hidden_act="silu", hidden_size=hidden, initializer_range=0.02, intermediate_size=inter,
                max_position_embeddings=256, num_attention_heads=heads, num_hidden_layers=layers,
                num_key_value_heads=kv, pretraining_tp=1, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=10000.0,
                tie_word_embeddings=False, torch_dtype="float32", use_cache=True, vocab_size=vocab,
                transformers_version="4.43.0") | more


def mistral(hidden, heads, kv, inter, **more):
    base = llama(hidden, heads, kv, inter, architectures=["MistralForCausalLM"], model_type="mistral")
    for key in ("pretraining_tp", "rope_scaling"):
        del base[key]
    return base | more


def qwen(kind, hidden, heads, kv, inter, layers=2, **more):
    base = llama(hidden, heads, kv, inter, layers, architectures=[f"Q{kind[1:]}ForCausalLM"], model_type=kind,
                 attention_dropout=0.0, max_window_layers=layers, rms_norm_eps=1e-6, rope_theta=1000000.0,
                 sliding_window=None, use_sliding_window=False)
    for key in ("pretraining_tp", "rope_scaling"):
        del base[key]
    return base | more


def mixtral(hidden, heads, kv, inter, experts, per_token, **more):
    return mistral(hidden, heads, kv, inter, architectures=["MixtralForCausalLM"], model_type="mixtral",
                   attention_dropout=0.0, num_local_experts=experts, num_experts_per_tok=per_token,
                   output_router_logits=False, rope_theta=1000000.0, router_aux_loss_coef=0.02,
                   sliding_window=None) | more


def gpt2(embd, heads, positions, **more):
    return dict(activation_function="gelu_new", architectures=["GPT2LMHeadModel"], attn_pdrop=0.1, bos_token_id=95,
                embd_pdrop=0.1, eos_token_id=95, initializer_range=0.02, layer_norm_epsilon=1e-5, model_type="gpt2",
                n_ctx=positions, n_embd=embd, n_head=heads, n_inner=None, n_layer=2, n_positions=positions,
                reorder_and_upcast_attn=False, resid_pdrop=0.1, scale_attn_by_inverse_layer_idx=False,
                scale_attn_weights=True, summary_activation=None, summary_first_dropout=0.1,
                summary_proj_to_labels=True, summary_type="cls_index", summary_use_proj=True, vocab_size=96) | more


def falcon(hidden, heads, **more):
    return dict(alibi=False, apply_residual_connection_post_layernorm=False, architectures=["FalconForCausalLM"],
                attention_dropout=0.0, bias=False, bos_token_id=11, eos_token_id=11, hidden_dropout=0.0,
                hidden_size=hidden, initializer_range=0.02, layer_norm_epsilon=1e-5, model_type="falcon",
                multi_query=True, new_decoder_architecture=False, num_attention_heads=heads, num_hidden_layers=2,
                parallel_attn=True, torch_dtype="float32", transformers_version="4.27.4", use_cache=True,
                vocab_size=96) | more


def deepseek(version, **more):
    base = dict(architectures=[f"DeepseekV{version}ForCausalLM"], attention_bias=False, attention_dropout=0.0,
                aux_loss_alpha=0.001, bos_token_id=0, eos_token_id=1, ep_size=1, first_k_dense_replace=1,
                hidden_act="silu", hidden_size=36, initializer_range=0.02, intermediate_size=44, kv_lora_rank=20,
                max_position_embeddings=256, model_type=f"deepseek_v{version}", moe_intermediate_size=10,
                moe_layer_freq=1, n_group=1, n_routed_experts=7, n_shared_experts=2, norm_topk_prob=False,
                num_attention_heads=3, num_experts_per_tok=3, num_hidden_layers=3, num_key_value_heads=3,
                pretraining_tp=1, q_lora_rank=None, qk_nope_head_dim=12, qk_rope_head_dim=8, rms_norm_eps=1e-6,
                rope_scaling=None, rope_theta=10000, routed_scaling_factor=1.0, scoring_func="softmax", seq_aux=True,
                tie_word_embeddings=False, topk_group=1, topk_method="greedy", torch_dtype="float32",
                transformers_version="4.33.1", use_cache=True, v_head_dim=10, vocab_size=96)
    if version == 3:
        base |= dict(n_group=4, topk_group=2, n_routed_experts=8, n_shared_experts=1, norm_topk_prob=True,
                     q_lora_rank=14, routed_scaling_factor=2.5, scoring_func="sigmoid", topk_method="noaux_tc",
                     num_nextn_predict_layers=0)
    return base | more


def yarn(factor, original, key="type", **more):
    return {key: "yarn", "factor": factor, "original_max_position_embeddings": original} | more


DEEPSEEK_YARN = yarn(4, 64, beta_fast=32, beta_slow=1)
LLAMA3_ROPE = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                   original_max_position_embeddings=128)
FP8 = dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8", weight_block_size=[16, 16])


def with_inv_freq(tensors, config):
    """Llama-2's files carry one rotary buffer a layer; loaders ignore it. Here it is wrong on purpose."""
    half = config["hidden_size"] // config["num_attention_heads"] // 2
    for i in range(config["num_hidden_layers"]):
        tensors[f"model.layers.{i}.self_attn.rotary_emb.inv_freq"] = torch.ones(half)


def as_openai_gpt2(tensors, config):
    """openai-community/gpt2: no "transformer." in names, and one causal mask a layer."""
    for name in list(tensors):
        tensors[name.removeprefix("transformer.")] = tensors.pop(name)
    n = config["n_positions"]
    for i in range(config["n_layer"]):
        tensors[f"h.{i}.attn.bias"] = torch.tril(torch.ones(n, n)).view(1, 1, n, n)


def with_gpt2_masks(tensors, config):
    """Later GPT-2 files: masks as bytes, and a masked_bias scalar."""
    n = config["n_positions"]
    for i in range(config["n_layer"]):
        tensors[f"transformer.h.{i}.attn.bias"] = torch.tril(torch.ones(n, n, dtype=torch.uint8)).view(1, 1, n, n)
        tensors[f"transformer.h.{i}.attn.masked_bias"] = torch.tensor(-10000.0)


def with_tied_copy(tensors, config):
    """A tied model whose file nevertheless stores the head (equal to the embedding), as Falcon-7B's does."""
    tensors["lm_head.weight"] = tensors["transformer.word_embeddings.weight"].clone()


def with_mtp_layer(tensors, config):
    """DeepSeek-V3's multi-token-prediction module: one more layer, with names of its own."""
    n, hidden, vocab = config["num_hidden_layers"], config["hidden_size"], config["vocab_size"]
    rng = torch.Generator().manual_seed(61)
    for name in [t for t in tensors if t.startswith(f"model.layers.{n - 1}.")]:
        tensors[name.replace(f"layers.{n - 1}.", f"layers.{n}.")] = torch.randn(tensors[name].shape, generator=rng)
    for name, shape in (("embed_tokens.weight", (vocab, hidden)), ("enorm.weight", (hidden,)),
                        ("hnorm.weight", (hidden,)), ("eh_proj.weight", (hidden, 2 * hidden)),
                        ("shared_head.norm.weight", (hidden,)), ("shared_head.head.weight", (vocab, hidden))):
        tensors[f"model.layers.{n}.{name}"] = torch.randn(shape, generator=rng)


CASES = {
    "llama2": dict(config=llama(36, 3, 3, 52), extra=with_inv_freq),
    "llama3_rope": dict(config=llama(60, 3, 1, 36, vocab=112, rope_scaling=LLAMA3_ROPE, rope_theta=500000.0,
                                     eos_token_id=[2, 3], head_dim=20, tie_word_embeddings=True)),
    "llama3_rope_v5": dict(config=llama(36, 3, 1, 44, rope_scaling=LLAMA3_ROPE, rope_theta=500000.0), form="v5",
                           lengths=(7, 150)),
    "llama_linear": dict(config=llama(48, 4, 1, 36, rope_scaling=dict(type="linear", factor=4.0))),
    "llama_dynamic": dict(config=llama(36, 3, 1, 44, rope_scaling=dict(type="dynamic", factor=2.0),
                                       max_position_embeddings=72), lengths=(7, 90)),
    "llama_yarn": dict(config=llama(40, 2, 1, 44, rope_scaling=yarn(4.0, 64)), lengths=(7, 90)),
    "llama_longrope_v5": dict(config=llama(40, 2, 2, 44, max_position_embeddings=320, rope_scaling=dict(
        rope_type="longrope", factor=4.0, original_max_position_embeddings=80,
        short_factor=[1 + 0.02 * i for i in range(10)], long_factor=[1 + 0.35 * i for i in range(10)])),
        form="v5", lengths=(7, 90)),
    "codellama": dict(config=llama(36, 3, 1, 52, rope_theta=1000000, max_position_embeddings=16384)),
    "alia": dict(config=llama(36, 3, 1, 84, vocab=128, attention_bias=False, mlp_bias=False, rope_scaling=None,
                              initializer_range=0.007, max_position_embeddings=4096)),
    "llama_bias": dict(config=llama(36, 3, 1, 44, attention_bias=True, mlp_bias=True, rms_norm_eps=0.01)),
    "llama_head_dim": dict(config=llama(42, 3, 1, 52, head_dim=20)),
    "mistral": dict(config=mistral(50, 5, 1, 36, sliding_window=None)),
    "mistral_window": dict(config=mistral(36, 6, 2, 52, head_dim=12, sliding_window=11)),
    "qwen2": dict(config=qwen("qwen2", 48, 4, 2, 36, sliding_window=131072, tie_word_embeddings=True)),
    "qwen2_window": dict(config=qwen("qwen2", 36, 3, 1, 44, 3, use_sliding_window=True, sliding_window=9,
                                     max_window_layers=1)),
    "qwen3": dict(config=qwen("qwen3", 40, 6, 2, 44, head_dim=12, attention_bias=False,
                              rms_norm_eps=0.01)),
    "qwen3_yarn_v5": dict(config=qwen("qwen3", 40, 3, 1, 36, head_dim=20, attention_bias=True,
                                      rope_scaling=yarn(4.0, 32, "rope_type", attention_factor=1.25, beta_fast=2.0,
                                                        beta_slow=0.5, truncate=False)), form="v5"),
    "gpt2": dict(config=gpt2(24, 2, 102), extra=as_openai_gpt2),
    "gpt2_scale": dict(config=gpt2(40, 4, 104, n_inner=52, layer_norm_epsilon=0.02, reorder_and_upcast_attn=True,
                                   scale_attn_by_inverse_layer_idx=True)),
    "gpt_sw3": dict(config=gpt2(36, 3, 104, activation_function="gelu", n_inner=52, pad_token_id=0, bos_token_id=2,
                                eos_token_id=3, initializer_range=0.007, apply_query_key_layer_scaling=True,
                                normalize_attention_scores=True, torch_dtype="float32"), extra=with_gpt2_masks),
    "falcon_7b": dict(config=falcon(36, 3), extra=with_tied_copy),
    "falcon_40b": dict(config=falcon(60, 6, new_decoder_architecture=True, num_kv_heads=2, ffn_hidden_size=52)),
    "falcon_11b_v5": dict(config=falcon(50, 5, new_decoder_architecture=True, num_kv_heads=1, ffn_hidden_size=44,
                                        num_ln_in_parallel_attn=1, rope_theta=500042.0, tie_word_embeddings=False,
                                        activation="gelu", max_position_embeddings=8192,
                                        layer_norm_epsilon=0.02), form="v5"),
    "falcon_alibi": dict(config=falcon(36, 12, alibi=True, bias=True, multi_query=False, parallel_attn=False),
                         attn="sdpa", lengths=(7, 301)),
    "mixtral": dict(config=mixtral(36, 3, 1, 16, 5, 2)),
    "mixtral_window_v5": dict(config=mixtral(36, 3, 1, 14, 6, 3, sliding_window=10, head_dim=16,
                                             rms_norm_eps=0.01), form="v5"),
    "deepseek_v2_lite": dict(config=deepseek(2, num_hidden_layers=2)),
    "deepseek_v2": dict(config=deepseek(2, q_lora_rank=14, n_routed_experts=9, n_group=3, topk_group=2,
                                        num_hidden_layers=2, n_shared_experts=1, topk_method="group_limited_greedy",
                                        routed_scaling_factor=4.0,
                                        rope_scaling=DEEPSEEK_YARN | dict(mscale=1.0, mscale_all_dim=0.707)),
                    lengths=(7, 75)),
    "deepseek_v3": dict(config=deepseek(3, rope_scaling=DEEPSEEK_YARN | dict(mscale=1.0, mscale_all_dim=1.0)),
                    lengths=(7, 75)),
    "deepseek_v3_mtp": dict(config=deepseek(3, hidden_size=30, moe_intermediate_size=8, num_hidden_layers=2,
                                            num_nextn_predict_layers=1),
                            extra=with_mtp_layer),
    "deepseek_v3_v5": dict(config=deepseek(3, num_hidden_layers=2, qk_rope_head_dim=12, rms_norm_eps=0.01,
                                           rope_scaling=yarn(4.0, 64, "rope_type", beta_fast=1.5, beta_slow=0.25,
                                                             mscale=0.8, mscale_all_dim=1.1)),
                           form="v5", lengths=(7, 75)),
    "deepseek_v3_fp8": dict(config=deepseek(3, hidden_size=60, num_attention_heads=5, num_key_value_heads=5,
                                            moe_intermediate_size=20, quantization_config=FP8,
                                            torch_dtype="bfloat16"), dtype="fp8"),
    "llama_sharded": dict(config=llama(36, 3, 1, 52), shards=3),
    "qwen3_sharded": dict(config=qwen("qwen3", 40, 3, 1, 44, head_dim=16, tie_word_embeddings=True), shards=4),
    "llama_bf16": dict(config=llama(60, 5, 1, 76, torch_dtype="bfloat16"), dtype="bf16"),
    "llama_f16": dict(config=llama(36, 3, 1, 76, torch_dtype="float16"), dtype="f16"),
}

# --- checkpoints ---------------------------------------------------------------------------------------------------


def fill(model, seed):
    """Random weights, large enough that every part of the model shows in the logits."""
    rng = torch.Generator().manual_seed(seed)
    buffers = [(n, b) for n, b in model.named_buffers() if n.endswith("e_score_correction_bias")]
    tied = model.config.tie_word_embeddings
    gain = 2.0 if model.config.model_type in ("gpt2", "falcon") else 1.3     # ungated MLPs need more to be lively
    with torch.no_grad():
        for name, t in list(model.named_parameters()) + buffers:
            t.copy_(torch.randn(t.shape, generator=rng))
            norm = "norm" in name or ".ln_" in name
            if name.endswith("e_score_correction_bias"):
                t.mul_(0.2)
            elif name.endswith("bias"):
                t.mul_(0.1 if norm else 0.25)
            elif norm:
                t.mul_(0.25).add_(1)
            elif any(k in name for k in ("embed_tokens", "word_embeddings", "wte")):
                t.mul_(0.2 if tied else 0.8)
            elif "wpe" in name:
                t.mul_(0.3)
            else:
                conv1d = ".c_" in name
                fan_in = t.shape[0] if conv1d else t.shape[-1]
                t.mul_((2.0 if "lm_head" in name or "mlp.gate.weight" in name else gain) / math.sqrt(fan_in))


def to_fp8(tensors, block):
    """The linear weights of attention, MLPs and experts as E4M3 with one f32 scale a block, the rest bf16."""
    out = {}
    for name, t in tensors.items():
        quantised = "_proj" in name or "kv_a_proj" in name
        if not quantised:
            out[name] = t if name.endswith("e_score_correction_bias") else t.to(torch.bfloat16)
            continue
        rows, cols = t.shape
        scale = torch.empty(-(-rows // block), -(-cols // block))
        q = torch.empty(t.shape, dtype=torch.float8_e4m3fn)
        for i in range(scale.shape[0]):
            for j in range(scale.shape[1]):
                s = (slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block))
                scale[i, j] = t[s].abs().max() / 448
                q[s] = (t[s] / scale[i, j]).to(torch.float8_e4m3fn)
        out[name] = q
        out[name + "_scale_inv"] = scale
    return out


def from_fp8(tensors, block):
    out = {}
    for name, t in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        t = t.float()
        if name + "_scale_inv" in tensors:
            scale = tensors[name + "_scale_inv"].repeat_interleave(block, 0).repeat_interleave(block, 1)
            t = t * scale[:t.shape[0], :t.shape[1]]
        out[name] = t
    return out


def write_weights(folder, tensors, shards):
    tensors = {k: tensors[k].contiguous() for k in sorted(tensors)}
    if shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    names, total, index = list(tensors), sum(t.nbytes for t in tensors.values()), {}
    files, done = [{} for _ in range(shards)], 0
    for name in names:
        files[min(shards - 1, done * shards // total)][name] = tensors[name]
        done += tensors[name].nbytes
    for i, part in enumerate(files):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        save_file(part, folder / file, metadata={"format": "pt"})
        index |= {name: file for name in part}
    text = json.dumps({"metadata": {"total_size": total}, "weight_map": index}, indent=2, sort_keys=True)
    (folder / "model.safetensors.index.json").write_text(text + "\n")


def write_checkpoint(folder, case, seed):
    """Write config.json and weights; return a folder that transformers can load (the same one, except for fp8)."""
    config = case["config"]
    dtype, shards = case.get("dtype", "f32"), case.get("shards", 1)
    plain = {k: v for k, v in config.items() if k != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(plain, indent=2, sort_keys=True) + "\n")
    hf_config = transformers.AutoConfig.from_pretrained(folder)
    with tempfile.TemporaryDirectory() as tmp:
        model = transformers.AutoModelForCausalLM.from_config(hf_config, dtype=torch.float32)
        fill(model, seed)
        model.save_pretrained(tmp)      # this maps the names back to those that publishers use
        tensors = load_file(Path(tmp) / "model.safetensors")
        if case.get("form") == "v5":
            shutil.copy(Path(tmp) / "config.json", folder / "config.json")
    if "extra" in case:
        case["extra"](tensors, config)
    if dtype != "fp8":
        cast = {"f32": torch.float32, "bf16": torch.bfloat16, "f16": torch.float16}[dtype]
        tensors = {n: t.to(cast) if t.dtype == torch.float32 else t for n, t in tensors.items()}
        write_weights(folder, tensors, shards)
        return folder
    block = config["quantization_config"]["weight_block_size"][0]
    tensors = to_fp8(tensors, block)
    write_weights(folder, tensors, shards)
    loadable = folder / "dequantised"
    loadable.mkdir()
    shutil.copy(folder / "config.json", loadable)
    write_weights(loadable, from_fp8(tensors, block), 1)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    return loadable


# --- reference outputs ---------------------------------------------------------------------------------------------


def load(folder, attn):
    model, info = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attn, experts_implementation="eager",
        output_loading_info=True)
    assert not info["missing_keys"], f"missing weights: {info['missing_keys']}"
    return model.eval()


def whole(model, ids):
    """Logits of every row, one forward pass without a cache, from fresh rotary state."""
    return copy.deepcopy(model)(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def greedy(model, ids, cache):
    """N_GREEDY tokens and the logits row that chose each, with or without a key-value cache."""
    model, ids, rows, past = copy.deepcopy(model), list(ids), [], None
    for step in range(N_GREEDY):
        feed = ids if step == 0 or not cache else ids[-1:]
        out = model(input_ids=torch.tensor([feed]), past_key_values=past, use_cache=cache)
        past = out.past_key_values if cache else None
        rows.append(out.logits[0, -1])
        ids.append(int(rows[-1].argmax()))
    return ids[-N_GREEDY:], torch.stack(rows)


def in_double(model):
    """The same model with sums in float64. Rotary angles stay float32, as they are part of the definition."""
    double = copy.deepcopy(model).double()
    for module in double.modules():
        if hasattr(module, "reorder_and_upcast_attn"):      # upcasts to float32: nothing to upcast here
            module.reorder_and_upcast_attn = False

    def run(ids):
        with unittest.mock.patch.object(torch, "float32", torch.float64):
            return whole(double, ids)
    return run


def jittered(model):
    """The same model with every weight off by a few ulp: what must not change the greedy tokens."""
    other, rng = copy.deepcopy(model), torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in other.parameters():
            p.mul_(1 + 1e-6 * torch.randn(p.shape, generator=rng))
    return other


def nine_digits(row):
    return [float(f"{x:.9g}") for x in row.tolist()]


def prompt_golden(model, ids, moving_rope):
    """The golden entry of one prompt and a complaint, if this seed is no good."""
    rows = whole(model, ids)
    tokens, chosen = greedy(model, ids, cache=True)
    full = ids + tokens[:-1]
    first = len(ids) - 1
    if moving_rope:     # earlier keys keep older frequencies in the cache, so the two ways may differ
        tokens_plain, chosen_plain = greedy(model, ids, cache=False)
    else:
        chosen_plain = whole(model, full)[first:]
        tokens_plain = chosen_plain.argmax(-1).tolist()
    double = in_double(model)(ids)
    jitter = whole(jittered(model), full)[first:] if not moving_rope else chosen_plain

    def min_gap(logits):
        top = logits.topk(2).values
        return float(((top[:, 0] - top[:, 1]) / logits.abs().amax(-1)).min())

    entry = {"ids": ids, "logits_rows": [0, len(ids) // 2, len(ids) - 1]}
    entry["logits"] = [nine_digits(rows[i]) for i in entry["logits_rows"]]
    entry["greedy"] = tokens
    entry["min_gap"] = float(f"{min(min_gap(chosen), min_gap(chosen_plain)):.3g}")
    entry["f64_max_abs_diff"] = float(f"{(rows - double).abs().max():.3g}")
    entry["cache_max_abs_diff"] = float(f"{(chosen - chosen_plain).abs().max():.3g}")
    if moving_rope:
        entry["greedy_no_cache"] = tokens_plain

    complaint = None
    if entry["min_gap"] < MIN_GAP:
        complaint = "near tie"
    elif entry["f64_max_abs_diff"] > 2e-5 or (jitter - chosen_plain).abs().max() > 1e-3:
        complaint = "ill-conditioned"
    elif len(set(tokens)) < 12 or len(set(tokens[-24:])) < 5:
        complaint = "degenerate"
    elif not moving_rope:
        assert entry["cache_max_abs_diff"] < 1e-4 and tokens == tokens_plain, "cache changes the result"
    return entry, complaint


def make_case(name, out, date):
    case = CASES[name]
    vocab = case["config"]["vocab_size"]
    rope = (case["config"].get("rope_scaling") or {})
    moving_rope = "dynamic" in (rope.get("type"), rope.get("rope_type"))
    attn = case.get("attn", "eager")
    start = zlib.crc32(name.encode()) % 100000
    for seed in range(start, start + MAX_SEEDS):
        with tempfile.TemporaryDirectory() as tmp:
            folder = Path(tmp)
            loadable = write_checkpoint(folder, case, seed)
            model = load(loadable, attn)
            rng = torch.Generator().manual_seed(seed)
            prompts, complaint = [], None
            for length in case.get("lengths", (7, 37)):
                ids = torch.randint(4, vocab, (length,), generator=rng).tolist()
                entry, complaint = prompt_golden(model, ids, moving_rope)
                prompts.append(entry)
                if complaint:
                    break
            if complaint:
                continue
            if loadable != folder:
                shutil.rmtree(loadable)
            golden = {"case": name, "transformers_version": transformers.__version__,
                      "torch_version": torch.__version__.split("+")[0], "date": date,
                      "command": f"python tools/golden/make_golden.py {name}", "seed": seed,
                      "attention": attn, "dtype": "float32", "weights_dtype": case.get("dtype", "f32"),
                      "prompts": prompts}
            (folder / "golden.json").write_text(json.dumps(golden) + "\n")
            shutil.rmtree(out / name, ignore_errors=True)
            shutil.copytree(folder, out / name)
            (out / name).chmod(0o755)
            for file in (out / name).iterdir():
                file.chmod(0o644)
            size = sum(f.stat().st_size for f in (out / name).iterdir())
            worst = {k: max(p[k] for p in prompts) for k in ("f64_max_abs_diff", "cache_max_abs_diff")}
            print(f"{name:20} seed {seed} (+{seed - start}) {size // 1024:4d} KiB "
                  f"gap {min(p['min_gap'] for p in prompts):.2g} {worst}", flush=True)
            return
    raise SystemExit(f"{name}: no good seed, last complaint: {complaint}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", help="cases to write (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "tests" / "golden")
    parser.add_argument("--date", default=datetime.date.today().isoformat(), help="the date written into golden.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for name in args.cases or CASES:
        make_case(name, args.out, args.date)


if __name__ == "__main__":
    main()
