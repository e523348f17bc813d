# peers_run.sh: what peers.sh measures and how each program is asked. Sourced; sets nothing but functions.
#
# A sample is a line of OUT/samples.tsv: round, row, bits, program, format, value and, of muster, the shares of measured
# arithmetic and bandwidth. Rows: prefill, decode, decode32 (tokens a second), score (items a second, the whole process),
# load (seconds of the whole process until the first token), prefill1t and decode1t (muster with one thread).

# Which formats of a peer are asked; +rtr: ik_llama.cpp packs the weights anew while it loads.
formats() { # PEER BITS
    case $1:$2 in
    ik_llama.cpp:16) # packed bf16 needs the instructions
        echo bf16 f16
        grep -qs avx512_bf16 /proc/cpuinfo && echo bf16+rtr
        ;;
    *:16) echo bf16 f16 ;;
    llama.cpp:8) echo q8_0 ;;
    llama.cpp:4) echo q4_0 ;;
    *:8) echo q8_0 q8_0+rtr ;;
    *:4) echo q4_0 q4_0+rtr ;;
    esac
}

muster_format() { # BITS
    case $1 in 16) echo bf16 ;; *) echo "int$1" ;; esac
}

say() {
    echo "peers: $*" >&2
}

sample() { # ROW BITS PROGRAM FORMAT VALUE [ARITHMETIC BANDWIDTH]
    printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$round" "$1" "$2" "$3" "$4" "$5" "${6:-}" "${7:-}" >>"$samples"
}

ask() { # NAME command... standard output into NAME
    name=$1
    shift
    echo "+ $*" >>"$log"
    "$@" >"$dir/$name" 2>>"$log" && cat "$dir/$name" >>"$log" && return 0
    say "failed, see $log: $*"
    return 1
}

# Seconds of a command, into $seconds.
clock() { # command...
    t0=$(date +%s.%N)
    ask timed "$@" || return 1
    seconds=$(date +%s.%N | awk -v t0="$t0" '{ printf "%.3f", $1 - t0 }')
}

# ---- what is there ----

has() { # DIR PROGRAM
    [ -n "$1" ] && [ -x "$1/$2" ]
}

tell_missing() { # PEER DIR
    for program in llama-bench llama-batched-bench llama-perplexity; do
        has "$2" "$program" || say "$1: no $program in '$2', its rows are left out"
    done
}

find_peers() {
    LLAMA=${LLAMA:-} IK=${IK:-} TORCH=${TORCH:-}
    tell_missing llama.cpp "$LLAMA"
    tell_missing ik_llama.cpp "$IK"
    [ -n "$TORCH" ] && "$TORCH" -c 'import torch' 2>>"$log" || { TORCH='' && say "PyTorch: none, its rows are left out"; }
    [ -z "$LLAMA$IK" ] || make_ggufs
}

make_ggufs() {
    [ -f "$gguf/bf16.gguf" ] || ask convert python3 "$here/peers_gguf.py" "$model" "$gguf/bf16.gguf"
    quantize=${LLAMA:-$IK}/llama-quantize
    for f in f16 q8_0 q4_0; do
        [ -f "$gguf/$f.gguf" ] || ask quantize "$quantize" --pure "$gguf/bf16.gguf" "$gguf/$f.gguf" "$f" "$threads"
    done
}

# The same items for everybody: as peers read them, and as a task.
make_items() {
    [ -n "${HELLASWAG:-}" ] || { say "HELLASWAG is not set, nothing is scored" && return 0; }
    head -n $((6 * items)) "$HELLASWAG" >"$dir/items.txt"
    awk 'function quoted(s) { gsub(/\\/, "\\\\", s); gsub(/"/, "\\\"", s); gsub(/\t/, "\\t", s); return "\"" s "\"" }
        { f[(NR - 1) % 6] = $0 }
        NR % 6 == 0 { printf "{\"context\": %s, \"gold\": %d, \"endings\": [%s, %s, %s, %s]}\n", quoted(f[0]), f[1],
            quoted(f[2]), quoted(f[3]), quoted(f[4]), quoted(f[5]) }' "$dir/items.txt" >"$dir/items.jsonl"
    cat >"$dir/peers_items.yaml" <<YAML
task: peers_items
output_type: multiple_choice
dataset_path: json
dataset_kwargs: {data_files: {test: items.jsonl}}
test_split: test
doc_to_text: "{{context}}"
doc_to_choice: endings
doc_to_target: gold
metric_list: [{metric: acc_norm, aggregation: mean, higher_is_better: true}]
YAML
}

is_scored() { # BITS
    [ -f "$dir/items.txt" ] && [ "$1" != 4 ]
}

score_sample() { # BITS PROGRAM FORMAT
    sample score "$1" "$2" "$3" "$(awk -v n="$items" -v s="$seconds" 'BEGIN { printf "%.4f", n / s }')"
}

# ---- muster ----

# Rows of a report of `muster bench --json`: name of the row, rate, shares.
bench_rows() { # SUFFIX
    awk -v suffix="$1" '
        { key = $1; gsub(/[":]/, "", key); v = $2; gsub(/[",]/, "", v) }
        key == "read_bytes_per_s" || key == "fma_flop_per_s" { print key suffix, v, "", "" }
        key == "work" { work = v }
        key == "batch" && v > 1 { work = work v }
        key == "tokens_per_s" { rate = v }
        key == "share_of_arithmetic" { arithmetic = v }
        key == "share_of_bandwidth" { bandwidth = v }
        $1 ~ /^}/ && work != "" { print work suffix, rate, arithmetic, bandwidth; work = "" }' "$dir/muster"
}

bench_muster() { # BITS SUFFIX options of muster bench
    bits=$1 suffix=$2
    shift 2
    ask muster "$muster" bench --model "$model" --weights "$(muster_format "$bits")" --prefill "$prompt" --decode 0 \
        --tokens "$steps" --repeat 1 --context $((prompt + 128)) --json --quiet "$@" || return 0
    bench_rows "$suffix" | while read -r row rate arithmetic bandwidth; do
        sample "$row" "$bits" muster "$(muster_format "$bits")" "$rate" "$arithmetic" "$bandwidth"
    done
}

run_muster() { # BITS
    f=$(muster_format "$1")
    bench_muster "$1" "" --batch 1,32 --threads "$threads"
    bench_muster "$1" 1t --batch 1 --threads 1
    score_muster "$1" "$f"
    load_muster "$1" "$f"
}

score_muster() { # BITS FORMAT
    is_scored "$1" || return 0
    clock "$muster" eval --model "$model" --weights "$2" --threads "$threads" --tasks "$dir/peers_items.yaml" \
        --bootstrap-iters 0 --quiet || return 0
    score_sample "$1" muster "$2"
}

load_muster() { # BITS FORMAT
    [ "$1" = 16 ] || return 0
    clock "$muster" generate --model "$model" --threads "$threads" --prompt The --max-tokens 1 --quiet || return 0
    sample load 16 muster "$2" "$seconds"
}

# ---- llama.cpp and its relatives ----

# Round 0: which formats of a peer are worth their time.
try_ggml() { # PROGRAM DIR BITS
    has "$2" llama-bench || return 0
    for f in $(formats "$1" "$3"); do
        choose "$f"
        bench_ggml "$1" "$2" "$3" "$f" -p 64 -n 4
    done
}

# Those that led round 0 in a row.
leaders() { # PROGRAM BITS
    awk -F '\t' -v program="$1" -v bits="$2" '
        $1 == 0 && $3 == bits && $4 == program && (!($2 in best) || $6 > best[$2]) { best[$2] = $6; first[$2] = $5 }
        END { for (row in first) if (!seen[first[row]]++) print first[row] }' "$samples"
}

run_ggml() { # PROGRAM DIR BITS
    for f in $(leaders "$1" "$3"); do
        choose "$f"
        bench_ggml "$1" "$2" "$3" "$f" -p "$prompt" -n "$steps"
        batched_ggml "$1" "$2" "$3" "$f"
        score_ggml "$1" "$2" "$3" "$f"
        load_ggml "$1" "$2" "$3" "$f"
    done
}

# The file of a format, and whether it is packed anew.
choose() { # FORMAT
    file=$gguf/${1%+rtr}.gguf packs=''
    [ "$1" = "${1%+rtr}" ] || packs=yes
}

# llama-bench without its warming run, as muster has none.
ggml_bench() { # PROGRAM DIR options
    case $1 in
    ik_llama.cpp) cold="--warmup 0 ${packs:+-rtr 1}" ;;
    *) cold=--no-warmup ;;
    esac
    tool=$2/llama-bench
    shift 2
    "$tool" -m "$file" -t "$threads" -r 1 $cold -o csv "$@"
}

bench_ggml() { # PROGRAM DIR BITS FORMAT options
    program=$1 folder=$2 bits=$3 format=$4
    shift 4
    ask bench ggml_bench "$program" "$folder" "$@" || return 0
    awk -F '","' '/n_prompt/ { n = split($0, name, ","); for (i = 1; i <= n; i++) at[name[i]] = i; next }
        "avg_ts" in at { row = $at["n_prompt"] > 0 ? "prefill" : "decode"; print row, $at["avg_ts"] }' "$dir/bench" |
        while read -r row rate; do sample "$row" "$bits" "$program" "$format" "$rate"; done
}

batched_ggml() { # PROGRAM DIR BITS FORMAT
    has "$2" llama-batched-bench || return 0
    ask batched "$2/llama-batched-bench" -m "$file" -t "$threads" ${packs:+-rtr} -c 1024 -b 512 -ub 512 -npp 1 \
        -ntg "$steps" -npl 32 || return 0
    rate=$(awk -F '|' '/S_TG/ { for (i = 1; i <= NF; i++) if ($i ~ /S_TG/) c = i } c && $4 + 0 == 32 { print $c + 0 }' \
        "$dir/batched")
    [ -z "$rate" ] || sample decode32 "$3" "$1" "$4" "$rate"
}

# All items in one batch of 2048 tokens and up to 32 sequences: llama.cpp counts the context of one, ik_llama.cpp of all.
score_ggml() { # PROGRAM DIR BITS FORMAT
    is_scored "$3" && has "$2" llama-perplexity || return 0
    case $1 in ik_llama.cpp) context=2048 ;; *) context=64 ;; esac
    clock "$2/llama-perplexity" -m "$file" -t "$threads" ${packs:+-rtr} -c $context -b 2048 -np 32 -f "$dir/items.txt" \
        --hellaswag --hellaswag-tasks "$items" || return 0
    if grep -q "^${items}[[:space:]]" "$dir/timed"; then
        score_sample "$3" "$1" "$4"
    else
        say "$1 $4: no line of item $items, not counted"
    fi
}

load_ggml() { # PROGRAM DIR BITS FORMAT
    [ "$3" = 16 ] || return 0
    clock ggml_bench "$1" "$2" -p 0 -n 1 || return 0
    sample load 16 "$1" "$4" "$seconds"
}

# ---- PyTorch ----

run_torch() { # BITS
    [ -n "$TORCH" ] && [ "$1" = 16 ] || return 0
    ask torch "$TORCH" "$here/peers_torch.py" "$model" "$threads" "$prompt" "$steps" || return 0
    while read -r row rate; do sample "$row" 16 PyTorch bf16 "$rate"; done <"$dir/torch"
}
