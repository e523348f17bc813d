/* split_patterns.c - the split patterns that models were published with, by the names in use for them
 *
 * Names are those of llama.cpp's tokenizer.ggml.pre and of tiktoken's encodings. A set is a list: each pattern cuts
 * what the one before left, matches and the text between them both kept. Sources: the models' tokenizer.json files and
 * tiktoken's published encodings. */
#include "tok/tok_int.h"

#include <strings.h>

#include "base/check.h"

#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define TAIL        "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define GPT2        "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
#define UPPER       "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER       "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"
#define LEAD        "[^\\r\\n\\p{L}\\p{N}]?"

static const char *const gpt2[] = {GPT2};
static const char *const llama3[] = {CONTRACTION "|" LEAD "\\p{L}+|\\p{N}{1,3}" TAIL};
static const char *const qwen2[] = {CONTRACTION "|" LEAD "\\p{L}+|\\p{N}" TAIL};
static const char *const qwen35[] = {CONTRACTION
                                     "|" LEAD "[\\p{L}\\p{M}]+|\\p{N}"
                                     "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};
static const char *const cl100k[] = {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}{1,3}"
                                     "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"};
static const char *const bailing[] = {"'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?+\\p{L}+|\\p{N}"
                                      "| ?[^\\s\\p{L}\\p{N}]++[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"};
static const char *const o200k[] = {LEAD UPPER
                                    "*" LOWER "+" CONTRACTION "?|" LEAD UPPER "+" LOWER "*" CONTRACTION
                                    "?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};
static const char *const tekken[] = {LEAD UPPER
                                     "*" LOWER "+|" LEAD UPPER "+" LOWER
                                     "*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};
static const char *const falcon[] = {"[\\p{P}\\$\\+<=>\\^~\\|`]+", GPT2, "[0-9][0-9][0-9]"};
static const char *const starcoder[] = {"\\p{N}", GPT2};
static const char *const bloom[] = {" ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"};
static const char *const viking[] = {" ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+", "\\p{N}"};
static const char *const deepseek_coder[] = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+",
                                             "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+", "\\p{N}"};
static const char *const deepseek_llm[] = {
    "[\\r\\n]",
    "\\s?[A-Za-z\u00B5\u00C0-\u00D6\u00D8-\u00F6\u00F8-\u01BA\u01BC-\u01BF\u01C4-\u0293\u0295-\u02AF\u0370-\u0373\u0376"
    "\u0377\u037B-\u037D\u037F\u0386\u0388-\u038A\u038C\u038E-\u03A1\u03A3-\u03F5\u03F7-\u0481\u048A-\u052F\u0531-"
    "\u0556"
    "\u10A0-\u10C5\u13A0-\u13F5\u13F8-\u13FD\u1C90-\u1CBA\u1CBD-\u1CBF\u1D00-\u1D2B\u1D6B-\u1D77\u1D79-\u1D9A"
    "\u1E00-\u1F15\u1F18-\u1F1D\u1F20-\u1F45\u1F48-\u1F4D\u1F50-\u1F57\u1F59\u1F5B\u1F5D\u1F5F-\u1F7D\u1F80-\u1FB4"
    "\u1FB6-\u1FBC\u1FBE\u1FC2-\u1FC4\u1FC6-\u1FCC\u1FD0-\u1FD3\u1FD6-\u1FDB\u1FE0-\u1FEC\u1FF2-\u1FF4\u1FF6-\u1FFC"
    "\u2102\u2107\u210A-\u2113\u2115\u2119-\u211D\u2124\u2126\u2128\u212A-\u212D\u212F-\u2134\u2139\u213C-\u213F"
    "\u2145-\u2149\u214E\u2183\u2184\u2C00-\u2C7B\u2C7E-\u2CE4\u2CEB-\u2CEE\u2CF2\u2CF3\uA640-\uA66D\uA680-\uA69B"
    "\uA722-\uA76F\uA771-\uA787\uA78B-\uA78E\uAB70-\uABBF\uFB00-\uFB06\uFB13-\uFB17\uFF21-\uFF3A\uFF41-\uFF5A"
    "\U00010400-\U0001044F\U000104B0-\U000104D3\U000104D8-\U000104FB\U00010C80-\U00010CB2\U00010CC0-\U00010CF2"
    "\U000118A0-\U000118DF\U0001E900-\U0001E943]+",
    "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3000-\u3002]+",
    "\\s+$",
    "[\\x{4E00}-\\x{9FA5}\\x{0800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+",
    "\\p{N}+"};
#define DEEPSEEK_WORDS                                                                                                 \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"                \
    "| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
static const char *const deepseek_v3[] = {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
                                          DEEPSEEK_WORDS};
static const char *const seed_coder[] = {CONTRACTION "|" LEAD
                                                     "\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|\\s*[\\r\\n]+"
                                                     "|\\s+(?!\\S)|\\s+"};
static const char *const superbpe[] = {"\\p{N}+", "(?=(\\d{3})+(?!\\d))"};
#define NOT_HAN_UPPER "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
#define NOT_HAN_LOWER "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}&&[^\\p{Han}]]"
static const char *const kimi_k2[] = {"[\\p{Han}]+|" LEAD NOT_HAN_UPPER "*" NOT_HAN_LOWER "+" CONTRACTION
                                      "?|" LEAD NOT_HAN_UPPER "+" NOT_HAN_LOWER "*" CONTRACTION "?|\\p{N}{1,3}" TAIL};
static const char *const default_set[] = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"};

#define SET(name, list)                                                                                                \
    {                                                                                                                  \
        name, list, MU_COUNT(list)                                                                                     \
    }

static const struct mu_split_set sets[] = {
    SET("default", default_set),
    SET("gpt2", gpt2),
    SET("gpt-2", gpt2),
    SET("mpt", gpt2),
    SET("olmo", gpt2),
    SET("phi-2", gpt2),
    SET("jina-es", gpt2),
    SET("jina-de", gpt2),
    SET("jina-v1-en", gpt2),
    SET("jina-v2-code", gpt2),
    SET("jina-v2-es", gpt2),
    SET("jina-v2-de", gpt2),
    SET("gigachat", gpt2),
    SET("a.x-4.0", gpt2),
    SET("mellum", gpt2),
    SET("roberta-bpe", gpt2),
    SET("exaone4", gpt2),
    SET("jais", gpt2),
    SET("trillion", gpt2),
    SET("granite-docling", gpt2),
    SET("r50k", gpt2),
    SET("p50k", gpt2),
    SET("llama3", llama3),
    SET("llama-bpe", llama3),
    SET("llama-v3", llama3),
    SET("falcon3", llama3),
    SET("falcon-h1", llama3),
    SET("pixtral", llama3),
    SET("midm-2.0", llama3),
    SET("lfm2", llama3),
    SET("dbrx", llama3),
    SET("smaug-bpe", llama3),
    SET("glm4", llama3),
    SET("chatglm-bpe", llama3),
    SET("qwen2", qwen2),
    SET("deepseek-r1-qwen", qwen2),
    SET("kormo", qwen2),
    SET("stablelm2", qwen2),
    SET("hunyuan", qwen2),
    SET("megrez", qwen2),
    SET("solar-open", qwen2),
    SET("grok-2", qwen2),
    SET("qwen35", qwen35),
    SET("cl100k", cl100k),
    SET("bailingmoe", bailing),
    SET("bailingmoe2", bailing),
    SET("llada-moe", bailing),
    SET("o200k", o200k),
    SET("gpt-4o", o200k),
    SET("llama4", o200k),
    SET("minimax-m2", o200k),
    SET("tekken", tekken),
    SET("falcon", falcon),
    SET("starcoder", starcoder),
    SET("refact", starcoder),
    SET("command-r", starcoder),
    SET("smollm", starcoder),
    SET("codeshell", starcoder),
    SET("exaone", starcoder),
    SET("minerva-7b", starcoder),
    SET("bloom", bloom),
    SET("poro-chat", bloom),
    SET("gpt3-finnish", bloom),
    SET("viking", viking),
    SET("deepseek-llm", deepseek_llm),
    SET("deepseek-coder", deepseek_coder),
    SET("deepseek-v3", deepseek_v3),
    SET("deepseek", deepseek_v3),
    SET("hunyuan-dense", deepseek_v3),
    SET("joyai-llm", deepseek_v3),
    SET("seed-coder", seed_coder),
    SET("superbpe", superbpe),
    SET("kimi-k2", kimi_k2),
};

const struct mu_split_set *mu_split_set_find(const char *name)
{
    for (size_t i = 0; i < MU_COUNT(sets); i++)
        if (strcasecmp(sets[i].name, name) == 0)
            return &sets[i];
    return NULL;
}

const char *mu_tokenizer_pattern_name(size_t i)
{
    return i < MU_COUNT(sets) ? sets[i].name : NULL;
}
