#!/usr/bin/env python3
"""Train small tokenizers on text made here and write what they make of difficult texts.

    python tools/golden/make_tokenizer_golden.py [--out tests/golden/tokenizers] [case ...]

Every case becomes a folder with tokenizer.json (made and run by Hugging Face tokenizers) or tokenizer.model (made and
run by sentencepiece), and expected.json: a list of {text, ids, ids_special, decoded, decoded_skip}. Here ids are
without special tokens, ids_special with those that the post-processor adds, decoded and decoded_skip are what
ids_special decodes to with special tokens kept and left out.
"""

import argparse
import collections
import io
import itertools
import json
import os
import random
import shutil
import tempfile
import unicodedata
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = [
    "",
    " ",
    "   ",
    "Hello world",
    " Hello  world ",
    "  leading and trailing   ",
    "The quick brown fox jumps over the lazy dog.",
    "I'm sure they'll say we've won, DON'T they'D? it's 'tis",
    "tabs\tand\nnewlines\r\n\n\n  indented\n\t\tdeeper\n",
    "\n",
    "\n\n \n x",
    "a\u00a0b\u2003c\u200bd\u3000e\ufefff\u2028g\u0085h",
    "control \x00\x01\x02\x07\x1b[0m\x7f end",
    "1 12 123 1234 12345 1234567890 3.14159 1,000,000 2^10 0x1F ½ ² ⅷ ١٢٣ १२३ 一二三",
    "https://example.org/path/to?query=a%20b&c=d#frag user.name+tag@mail.example.com",
    "def f(x, y=None):\n    return {k: v**2 for k, v in x.items() if v != 0x0}  # comment\n",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * c[i]; }",
    "naïve café résumé Ångström Ærø Straße ŁÓDŹ İstanbul ıI",
    "nai\u0308ve cafe\u0301 A\u030angstrom a\u0328\u0301\u0323 \u0301orphan",
    "Zażółć gęślą jaźń",
    "Привет, мир! Ёлка и ёж",
    "Γειά σου Κόσμε ΣΊΣΥΦΟΣ",
    "你好，世界！我爱北京天安门。中文English混排123",
    "こんにちは世界。カタカナ ﾊﾝｶｸ ガギグ か\u3099",
    "안녕하세요 세계 \u1112\u1161\u11ab",
    "שלום עולם مرحبا بالعالم مَرْحَبًا",
    "नमस्ते दुनिया ไทยภาษา தமிழ்",
    "👍 👍🏽 👨‍👩‍👧‍👦 🏳️‍🌈 🇸🇪🇪🇸 ☺️ ☺",
    "😀😃😄mixed😁with text😆",
    "ﬁne oﬃce ﬂow ℌ ① ㎏ ™ … ‥ ﷺ",
    "ＦＵＬＬ　ｗｉｄｔｈ　１２３！",
    "𝒜𝓁𝓅𝒽𝒶 𝟙𝟚𝟛 𐍈 𠀀𠀁",
    "l" * 2000,
    "ab" * 50 + " " + "!" * 60 + " " * 40 + "=" * 25,
    "<s>Hello</s> <unk> <pad>x<pad> [CLS] hi [SEP] un[MASK]believable [mask]",
    "<|endoftext|>start<|endoftext|><|im_start|>user\nhi<|im_end|>\n<|begin_of_text|>",
    "x <both> y<both>z  <left>  w  <right>  v <left><right>",
    "singleword is single, insingle single2 single_x (single)",
    "norm me NORM ME Norm  Me norm mes",
    "</S> <S> <|ENDOFTEXT|> <||> <| endoftext |>",
    "unfindable\ue000private\uffffnoncharacter\U0010ffff",
    "\u202eright-to-left\u202c soft\u00adhyphen zero\u200dwidth\u200cjoiner",
    "ALLCAPS camelCase snake_case kebab-case PascalCaseHTTPServer IOError x2y3z",
    "supercalifragilistic thermodynamics the there them",
    "“Smart quotes” ‘single’ «guillemets» — em–en-dash ¿qué? ¡sí!",
    "▁already ▁▁ marked _under_ Ġfake Ċ",
    "\ttab first",
    "end with spaces    ",
    "a  b   c    d     e",
]


def training_text():
    """Sentences from word lists in several scripts, code and numbers; always the same."""
    rng = random.Random(7)
    words = ("the there them of and to in a is that it was for on are with as his they at be this from have or by one "
             "had not but what all were when we can said an each which she do how their if will up other about out "
             "many then these so some her would make like him into time has look two more write go see number no way "
             "could people my than first water been call who oil its now find long down day did get come made may part "
             "over new sound take only little work know place year live me back give most very after thing our just "
             "name good sentence man think say great where help through much before line right too means old any same "
             "tell boy follow came want show also around form three small set put end does another well large must "
             "even such because turn here why ask went men read need land different home us move try kind hand picture "
             "again change off play spell air away animal house point page letter mother answer found study still "
             "learn should world quick brown fox jumps lazy dog Hello thermodynamics single word norm").split()
    others = ("привет мир ёлка и по на что как это все так был для она они; καλημέρα κόσμε και το να είναι; "
              "naïve café résumé straße ångström über señor niño façade zażółć; "
              "你好 世界 中文 我们 一个 可以 北京; こんにちは 世界 カタカナ です ます; 안녕 세계 하세요; "
              "مرحبا عالم في من; שלום עולם; नमस्ते दुनिया; 👍 😀 🇸🇪").replace(";", "").split()
    code = ["def f(x):", "    return x + 1", "for (int i = 0; i < n; ++i) {", "}", "if x != None:", "\tprint(x)",
            "https://example.org/path", "user@example.com", "a[i] += b[i];", "# comment", "{'key': 12}"]
    lines = []
    for _ in range(600):
        line = [rng.choice(words) for _ in range(rng.randint(4, 14))]
        if rng.random() < 0.4:
            line.insert(rng.randrange(len(line)), rng.choice(others))
        if rng.random() < 0.3:
            line.append(str(rng.randrange(10 ** rng.randint(1, 6))))
        lines.append(" ".join(line).capitalize() + rng.choice([".", "!", "?", ",", "'s", "'ll do.", ""]))
        if rng.random() < 0.2:
            lines.append(rng.choice(code))
    return lines


LINES = training_text()
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
          r"|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace(r"\p{N}{1,3}", r"\p{N}")
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]


def bpe(specials, size=600, initial=None, **options):
    tok = Tokenizer(models.BPE(**options))
    alphabet = pre_tokenizers.ByteLevel.alphabet() if initial is None else initial
    return tok, trainers.BpeTrainer(vocab_size=size, special_tokens=specials, initial_alphabet=sorted(alphabet),
                                    show_progress=False)


def splits(*patterns):
    parts = [pre_tokenizers.Split(Regex(p), "isolated") for p in patterns]
    return pre_tokenizers.Sequence(parts + [pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def edited(tok, edit):
    """The same tokenizer after a change to its JSON, for what the Python interface does not reach."""
    data = json.loads(tok.to_str())
    edit(data)
    return Tokenizer.from_str(json.dumps(data))


def word_counts(tok):
    """How often each piece of the normalized, pre-tokenized training text occurs."""
    return collections.Counter(word for line in LINES
                               for word, _ in tok.pre_tokenizer.pre_tokenize_str(tok.normalizer.normalize_str(line)))


def most(counts, n):
    return sorted(counts, key=lambda t: (-counts[t], t))[:n]


def train_suffix_bpe(tok, n_merges, suffix):
    """Plain BPE over words that end in a suffix (the library's trainer breaks ties differently on every run)."""
    words = {tuple(word[:-1]) + (word[-1] + suffix,): n for word, n in word_counts(tok).items()}
    vocab = ["<unk>"] + sorted({t for word in words for t in word} | {t[0] for word in words for t in word})
    merges = []
    for _ in range(n_merges):
        pairs = collections.Counter()
        for word, n in words.items():
            for pair in zip(word, word[1:]):
                pairs[pair] += n
        a, b = most(pairs, 1)[0]
        merges.append((a, b))
        vocab.append(a + b)
        merged = {}
        for word, n in words.items():
            out = []
            for t in word:
                if out and (out[-1], t) == (a, b):
                    out[-1] = a + b
                else:
                    out.append(t)
            merged[tuple(out)] = n
        words = merged
    vocab = {t: i for i, t in enumerate(dict.fromkeys(vocab))}
    return models.BPE(vocab, merges, unk_token="<unk>", end_of_word_suffix=suffix)


def bert(normalizer=normalizers.BertNormalizer(lowercase=True)):
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizer
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = word_counts(tok)
    ends = collections.Counter()
    for word, n in words.items():
        ends.update({"##" + word[i:j]: n for i in range(1, len(word)) for j in range(i + 1, len(word) + 1)})
    chars = sorted(set("".join(words)))
    vocab = dict.fromkeys(specials + chars + ["##" + c for c in chars] + most(words, 250) + most(ends, 250))
    tok.model = models.WordPiece({t: i for i, t in enumerate(vocab)}, unk_token="[UNK]", max_input_chars_per_word=100)
    tok.add_special_tokens(specials)
    tok.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tok.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    return tok


def bert_cased():
    tok = bert(normalizers.BertNormalizer(clean_text=False, handle_chinese_chars=False, strip_accents=True,
                                          lowercase=False))
    tok.post_processor = processors.TemplateProcessing(
        single="[CLS]:0 $A:0 [SEP]:0", pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tok.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return tok


def unigram(scheme="always", split=True, byte_fallback=True):
    """A Unigram model over Metaspace pieces, as T5's; its pieces and scores come from sentencepiece."""
    proto = train_sentencepiece(model_type="unigram", vocab_size=700, byte_fallback=byte_fallback, pad_id=0, eos_id=1,
                                unk_id=2, bos_id=-1, normalization_rule_name="identity", split_by_whitespace=split)
    tok = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], 2, byte_fallback))
    tok.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFKC(),
                                           normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=split)
    tok.add_special_tokens(["<pad>", "</s>", "<unk>"])
    tok.post_processor = processors.TemplateProcessing(single="$A </s>", pair="$A </s> $B </s>",
                                                       special_tokens=[("</s>", 1)])
    tok.decoder = decoders.Sequence([decoders.ByteFallback(),
                                     decoders.Metaspace(replacement="▁", prepend_scheme=scheme, split=split)])
    return tok


def unigram_first():
    """Metaspace that marks only the first piece and does not split; unknown characters become <unk>."""
    tok = unigram("first", split=False, byte_fallback=False)
    tok.normalizer = normalizers.Sequence([normalizers.Strip(left=False, right=True), normalizers.NFC()])
    return tok


def llama2():
    """SentencePiece BPE as transformers converts it: no pre-tokenizer, bytes for unknown characters."""
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    tok, trainer = bpe(specials, 800, [], unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tok.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    tok.train_from_iterator(LINES, trainer)
    tok = edited(tok, lambda data: data.update(
        pre_tokenizer=None, added_tokens=[t for t in data["added_tokens"] if not t["content"].startswith("<0x")]))
    tok.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s>:1 $B:1",
                                                       special_tokens=[("<s>", 1)])
    tok.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                     decoders.Strip(" ", 1, 0)])
    return tok


def gpt2():
    tok, trainer = bpe(["<|endoftext|>"])
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator(LINES, trainer)
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.decoder = decoders.ByteLevel()
    return tok


def roberta():
    tok, trainer = bpe(["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tok.train_from_iterator(LINES, trainer)
    tok.add_special_tokens([AddedToken("<both>", lstrip=True, rstrip=True)])
    tok.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0), trim_offsets=True,
                                                      add_prefix_space=True)
    tok.decoder = decoders.ByteLevel()
    return tok


def llama3():
    """ignore_merges: a whole piece that is in the vocabulary is taken before any merge, even an unreachable one."""
    tok, trainer = bpe([])
    tok.pre_tokenizer = splits(LLAMA3)
    tok.train_from_iterator(LINES, trainer)

    def edit(data):
        vocab = data["model"]["vocab"]
        for word in ("Ġsupercalifragilistic", "supercalifragilistic", "Ġcalifornication", "aaaaaaaa"):
            vocab[word] = len(vocab)
        data["model"]["ignore_merges"] = True
    tok = edited(tok, edit)
    tok.add_special_tokens(["<|begin_of_text|>", "<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    bos = tok.token_to_id("<|begin_of_text|>")
    tok.post_processor = processors.Sequence([
        processors.ByteLevel(trim_offsets=True),
        processors.TemplateProcessing(single="<|begin_of_text|> $A",
                                      pair="<|begin_of_text|> $A <|begin_of_text|>:1 $B:1",
                                      special_tokens=[("<|begin_of_text|>", bos)])])
    tok.decoder = decoders.ByteLevel()
    return tok


def byte_level(pattern, normalizer=None):
    tok, trainer = bpe([])
    tok.normalizer = normalizer
    tok.pre_tokenizer = splits(*pattern) if isinstance(pattern, list) else splits(pattern)
    tok.train_from_iterator(LINES, trainer)
    tok.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.decoder = decoders.ByteLevel()
    return tok


def falcon():
    tok, trainer = bpe(["<|endoftext|>"])
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Punctuation("contiguous"), pre_tokenizers.ByteLevel(add_prefix_space=False),
        pre_tokenizers.Digits(individual_digits=False), pre_tokenizers.Split(Regex("[0-9][0-9][0-9]"), "isolated")])
    tok.train_from_iterator(LINES, trainer)
    tok.post_processor = processors.ByteLevel(trim_offsets=False)
    tok.decoder = decoders.ByteLevel()
    return tok


def digits():
    """Code models: every digit alone, then GPT-2's rule."""
    tok, trainer = bpe(["<|endoftext|>"])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True),
                                                 pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tok.train_from_iterator(LINES, trainer)
    tok.decoder = decoders.ByteLevel()
    return tok


def normalized():
    """Every simple normalizer in a row, plain BPE with <unk> and an end-of-word suffix."""
    tok = Tokenizer(models.BPE())
    tok.normalizer = normalizers.Sequence([
        normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase(), normalizers.Replace("—", "-"),
        normalizers.Replace(Regex(r"[\u200b-\u200f]"), ""), normalizers.Replace(Regex(r"(\d)\d+"), "0"),
        normalizers.Strip(), normalizers.Prepend("~")])
    tok.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()])
    tok.model = train_suffix_bpe(tok, 250, "</w>")
    tok.add_special_tokens(["<unk>"])
    tok.decoder = decoders.BPEDecoder(suffix="</w>")
    return tok


def split_behaviours():
    """Split with each behaviour, string and regex patterns, inverted; CharDelimiterSplit; UnicodeScripts."""
    tok, trainer = bpe(["<unk>"], 500, [], unk_token="<unk>")
    tok.normalizer = normalizers.NFKC()
    tok.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.UnicodeScripts(), pre_tokenizers.CharDelimiterSplit("\t"),
        pre_tokenizers.Split(" ", "merged_with_next"), pre_tokenizers.Split(Regex("[,;]"), "merged_with_previous"),
        pre_tokenizers.Split(Regex("[(){}]+"), "removed"), pre_tokenizers.Split(Regex("[0-9a-f]{2}"), "contiguous"),
        pre_tokenizers.Split(Regex(r"[^!?]+"), "isolated", invert=True)])
    tok.train_from_iterator(LINES, trainer)
    tok.decoder = decoders.Fuse()
    return tok


def whitespace_wordlevel():
    tok = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tok.normalizer = normalizers.Sequence([normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()])
    tok.pre_tokenizer = pre_tokenizers.Whitespace()
    tok.train_from_iterator(LINES, trainers.WordLevelTrainer(vocab_size=300, special_tokens=["<unk>"],
                                                             show_progress=False))
    return tok


def added_tokens():
    """Added tokens with every flag, over a lowercasing normalizer."""
    tok, trainer = bpe(["<s>", "</s>"])
    tok.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.train_from_iterator(LINES, trainer)
    tok.add_special_tokens([AddedToken("<left>", lstrip=True), AddedToken("<right>", rstrip=True),
                            AddedToken("<both>", lstrip=True, rstrip=True), AddedToken("<|endoftext|>"),
                            AddedToken("[MASK]", normalized=True)])
    tok.add_tokens([AddedToken("single", single_word=True, normalized=False), AddedToken("Norm Me", normalized=True),
                    AddedToken("=====", normalized=False), AddedToken("==", normalized=False),
                    AddedToken("    ", normalized=False), AddedToken("你好", normalized=False),
                    AddedToken("é", normalized=True)])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A </s> $B </s>",
                                                       special_tokens=[("<s>", 0), ("</s>", 1)])
    tok.decoder = decoders.ByteLevel()
    return tok


CASES = {
    "bert": bert,
    "bert_cased": bert_cased,
    "unigram": unigram,
    "unigram_first": unigram_first,
    "llama2": llama2,
    "gpt2": gpt2,
    "roberta": roberta,
    "llama3": llama3,
    "qwen2": lambda: byte_level(QWEN2, normalizers.NFC()),
    "o200k": lambda: byte_level(O200K),
    "deepseek": lambda: byte_level(DEEPSEEK),
    "falcon": falcon,
    "digits": digits,
    "normalized": normalized,
    "split_behaviours": split_behaviours,
    "wordlevel": whitespace_wordlevel,
    "added_tokens": added_tokens,
}

# SentencePiece models, as Llama 2 (BPE, text left as it is), T5 and GPT-SW3 (unigram, NFKC) ship them. "rules" stands
# for a part of NFKC: the full table would make each model 250 KB.
SENTENCEPIECE = {
    "spm_bpe": dict(model_type="bpe", vocab_size=700, byte_fallback=True, normalization_rule_name="identity",
                    remove_extra_whitespaces=False, split_digits=True, allow_whitespace_only_pieces=True),
    "spm_unigram": dict(model_type="unigram", vocab_size=700, byte_fallback=True, rules="nfkc",
                        user_defined_symbols=["<both>", "[MASK]"]),
    "spm_unigram_unk": dict(model_type="unigram", vocab_size=500, byte_fallback=False,
                            rules="casefold", add_dummy_prefix=False, treat_whitespace_as_suffix=True,
                            user_defined_symbols=["single"]),
}


def write_expected(folder, rows):
    (folder / "expected.json").write_text(json.dumps(rows, ensure_ascii=False, separators=(",", ":")) + "\n",
                                          encoding="utf-8")


def write_tokenizer(folder, tok):
    tok.save(str(folder / "tokenizer.json"), pretty=False)
    tok = Tokenizer.from_file(str(folder / "tokenizer.json"))
    rows = []
    for text in TEXTS:
        special = tok.encode(text, add_special_tokens=True).ids
        rows.append({"text": text, "ids": tok.encode(text, add_special_tokens=False).ids, "ids_special": special,
                     "decoded": tok.decode(special, skip_special_tokens=False),
                     "decoded_skip": tok.decode(special, skip_special_tokens=True)})
    write_expected(folder, rows)


def rule_table(kind):
    """A normalization table of sentencepiece: hexadecimal source, tab, hexadecimal target."""
    ranges = ((0xA0, 0x180), (0x2000, 0x2070), (0x2100, 0x2150), (0x2460, 0x2474), (0x3000, 0x3001), (0xFB00, 0xFB07),
              (0xFF01, 0xFFA0))
    rules = {chr(c): unicodedata.normalize("NFKC", chr(c)) for first, end in ranges for c in range(first, end)}
    for base, mark in itertools.product("aeiouAEIOUか", "\u0300\u0301\u0308\u030a\u3099"):
        rules[base + mark] = unicodedata.normalize("NFKC", base + mark)
    rules |= {chr(c): "" for c in range(1, 9)} | {"\t": " ", "\n": " ", "\r": " ", "\u200b": " "}
    if kind == "casefold":
        letters = [chr(c) for c in range(0x41, 0x5B)] + [chr(c) for c in range(0x391, 0x430)]
        rules = {source: target.casefold() for source, target in rules.items()} | {c: c.casefold() for c in letters}
    code = lambda text: " ".join(f"{ord(c):X}" for c in text)
    return "".join(f"{code(s)}\t{code(t)}\n" for s, t in sorted(rules.items()) if s != t)


def train_sentencepiece(rules=None, **options):
    model = io.BytesIO()
    with tempfile.TemporaryDirectory() as tmp:
        if rules:
            table = Path(tmp) / "rules.tsv"
            table.write_text(rule_table(rules))
            options["normalization_rule_tsv"] = str(table)
        sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(LINES), model_writer=model, num_threads=1,
                                                 character_coverage=0.995, minloglevel=2, **options)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    proto.normalizer_spec.normalization_rule_tsv = ""   # the temporary path
    return proto


def unigram_precompiled():
    """spm_unigram as transformers converts it: the same pieces and scores, the table as a Precompiled normalizer."""
    proto = train_sentencepiece(**SENTENCEPIECE["spm_unigram"])
    tok = Tokenizer(models.Unigram([(p.piece, p.score) for p in proto.pieces], proto.trainer_spec.unk_id, True))
    tok.normalizer = normalizers.Sequence([normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
                                           normalizers.Replace(Regex(" {2,}"), " ")])
    tok.pre_tokenizer = pre_tokenizers.Metaspace()
    tok.add_special_tokens(["<unk>", "<s>", "</s>"])
    tok.add_tokens([AddedToken(t, normalized=False) for t in SENTENCEPIECE["spm_unigram"]["user_defined_symbols"]])
    tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    tok.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace()])
    return tok


CASES["unigram_precompiled"] = unigram_precompiled


def write_sentencepiece(folder, options):
    model = train_sentencepiece(**options).SerializeToString(deterministic=True)
    (folder / "tokenizer.model").write_bytes(model)
    sp = sentencepiece.SentencePieceProcessor(model_proto=model)
    rows = []
    for text in TEXTS:
        ids = sp.encode(text)
        special = sp.encode(text, add_bos=True, add_eos=True)
        rows.append({"text": text, "ids": ids, "ids_special": special, "decoded": sp.decode(special),
                     "decoded_skip": sp.decode(ids)})
    write_expected(folder, rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", help="cases to write (default: all)")
    parser.add_argument("--out", type=Path, default=Path(__file__).parents[2] / "tests" / "golden" / "tokenizers")
    args = parser.parse_args()
    for name in args.cases or itertools.chain(CASES, SENTENCEPIECE):
        folder = args.out / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if name in CASES:
            write_tokenizer(folder, CASES[name]())
        else:
            write_sentencepiece(folder, SENTENCEPIECE[name])
        print(f"{name:20}", {f.name: f.stat().st_size for f in sorted(folder.iterdir())}, flush=True)


if __name__ == "__main__":
    main()
