/* json_steps.c - the "normalizer" and "pre_tokenizer" sections of tokenizer.json
 *
 * Sequences, nested ones too, become one flat list of steps. */
#include "tok/tok_int.h"

#include <inttypes.h>

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

#define SEQUENCE_DEPTH_MAX 16

/* GPT-2's own pattern, which ByteLevel brings along. */
static const char gpt2_pattern[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

static int step_type(json_t *v, const char *section, const char **out, const char *where, struct mu_err *e)
{
    if (!json_is_object(v))
        return mu_fail(e, MU_EFORMAT, "%s: a step of \"%s\" is no object", where, section);
    return mu_json_string(v, "type", out, where, e);
}

/* ---- normalizer ---- */

/* Standard base64 into out. */
static int base64(struct mu_str in, struct mu_buf *out, const char *where, struct mu_err *e)
{
    uint32_t bits = 0;
    int n_bits = 0;
    MU_TRY_RETURN(mu_buf_reserve(out, in.n, e));
    for (size_t i = 0; i < in.n && in.p[i] != '='; i++) {
        char c = in.p[i];
        int v = c >= 'A' && c <= 'Z'   ? c - 'A'
                : c >= 'a' && c <= 'z' ? c - 'a' + 26
                : c >= '0' && c <= '9' ? c - '0' + 52
                : c == '+'             ? 62
                : c == '/'             ? 63
                                       : -1;
        if (v < 0)
            return mu_fail(e, MU_EFORMAT, "%s: the character map is no base64 at byte %zu", where, i);
        bits = bits << 6 | (uint32_t)v;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            MU_TRY_RETURN(mu_buf_putc(out, (char)(bits >> n_bits & 0xFF), e));
        }
    }
    return MU_OK;
}

static int norm_precompiled(struct mu_norm *s, json_t *v, const char *where, struct mu_err *e)
{
    struct mu_buf blob = MU_BUF_INIT("a character map", MU_JSON_BYTES_MAX);
    const char *text;
    int rc = MU_OK;
    MU_TRY(mu_json_string(v, "precompiled_charsmap", &text, where, e));
    MU_TRY(base64(mu_str(text), &blob, where, e));
    MU_TRY(mu_charsmap_new(&s->map, mu_buf_str(&blob), where, e));
out:
    mu_buf_fini(&blob);
    return rc;
}

static int norm_bert(struct mu_norm *s, json_t *v, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(mu_tok_json_flag(v, "clean_text", true, &s->clean_text, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "handle_chinese_chars", true, &s->chinese_chars, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "lowercase", true, &s->lowercase, where, e));
    return mu_tok_json_flag(v, "strip_accents", s->lowercase, &s->strip_accents, where, e);
}

struct norm_name {
    const char *name;
    enum mu_norm_kind kind;
};

static int norm_fields(struct mu_tokenizer *t, struct mu_norm *s, json_t *v, const char *where, struct mu_err *e)
{
    switch (s->kind) {
    case MU_NORM_STRIP:
        MU_TRY_RETURN(mu_tok_json_flag(v, "strip_left", true, &s->left, where, e));
        return mu_tok_json_flag(v, "strip_right", true, &s->right, where, e);
    case MU_NORM_REPLACE:
        MU_TRY_RETURN(mu_tok_json_str(t, v, "content", NULL, &s->content, where, e));
        return mu_tok_json_pattern(t, v, &s->pattern, where, e);
    case MU_NORM_PREPEND:
        return mu_tok_json_str(t, v, "prepend", NULL, &s->content, where, e);
    case MU_NORM_APPEND:
        return mu_tok_json_str(t, v, "append", NULL, &s->content, where, e);
    case MU_NORM_PRECOMPILED:
        return norm_precompiled(s, v, where, e);
    case MU_NORM_BERT:
        return norm_bert(s, v, where, e);
    default:
        return MU_OK;
    }
}

static int norm_step(struct mu_tokenizer *t, json_t *v, int depth, const char *where, struct mu_err *e)
{
    static const struct norm_name names[] = {
        {"NFC", MU_NORM_NFC},
        {"NFD", MU_NORM_NFD},
        {"NFKC", MU_NORM_NFKC},
        {"NFKD", MU_NORM_NFKD},
        {"Lowercase", MU_NORM_LOWERCASE},
        {"Strip", MU_NORM_STRIP},
        {"StripAccents", MU_NORM_STRIP_ACCENTS},
        {"Replace", MU_NORM_REPLACE},
        {"Prepend", MU_NORM_PREPEND},
        {"Append", MU_NORM_APPEND},
        {"Precompiled", MU_NORM_PRECOMPILED},
        {"BertNormalizer", MU_NORM_BERT},
        {"Nmt", MU_NORM_NMT},
        {"ByteLevel", MU_NORM_BYTE_LEVEL},
    };
    const char *type;
    json_t *list, *child;
    size_t i;

    MU_TRY_RETURN(step_type(v, "normalizer", &type, where, e));
    if (strcmp(type, "Sequence") == 0) {
        if (depth == SEQUENCE_DEPTH_MAX)
            return mu_fail(e, MU_ELIMIT, "%s: sequences of the normalizer nest deeper than %d", where, depth);
        MU_TRY_RETURN(mu_json_array(v, "normalizers", &list, where, e));
        json_array_foreach(list, i, child) MU_TRY_RETURN(norm_step(t, child, depth + 1, where, e));
        return MU_OK;
    }
    if (t->n_norms == MU_TOK_STEPS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: the normalizer has more than %d steps", where, MU_TOK_STEPS_MAX);
    for (i = 0; i < MU_COUNT(names); i++) {
        if (strcmp(type, names[i].name) != 0)
            continue;
        struct mu_norm *s = &t->norms[t->n_norms++];
        s->kind = names[i].kind;
        return norm_fields(t, s, v, where, e);
    }
    return mu_fail(e, MU_EUNSUPPORTED, "%s: normalizer \"%.60s\" is not known", where, type);
}

int mu_tok_json_normalizer(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    if (!v || json_is_null(v))
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->norms, MU_TOK_STEPS_MAX, "the normalizer", e));
    return norm_step(t, v, 0, where, e);
}

/* ---- pre-tokenizer ---- */

static int read_behaviour(json_t *v, enum mu_behaviour dflt, enum mu_behaviour *out, const char *where,
                          struct mu_err *e)
{
    static const struct {
        const char *name;
        enum mu_behaviour b;
    } names[] = {{"Removed", MU_REMOVED},
                 {"Isolated", MU_ISOLATED},
                 {"MergedWithPrevious", MU_MERGED_PREVIOUS},
                 {"MergedWithNext", MU_MERGED_NEXT},
                 {"Contiguous", MU_CONTIGUOUS}};
    const char *name = json_string_value(json_object_get(v, "behavior"));
    *out = dflt;
    if (!name)
        return MU_OK;
    for (size_t i = 0; i < MU_COUNT(names); i++) {
        *out = names[i].b;
        if (strcmp(name, names[i].name) == 0)
            return MU_OK;
    }
    return mu_fail(e, MU_EUNSUPPORTED, "%s: split behavior \"%.60s\" is not known", where, name);
}

static int pre_byte_level(struct mu_pre *p, json_t *v, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(mu_tok_json_flag(v, "add_prefix_space", true, &p->prefix_space, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "use_regex", true, &p->do_split, where, e));
    p->behaviour = MU_ISOLATED;
    return p->do_split ? mu_regex_compile(&p->pattern.regex, mu_str(gpt2_pattern), where, e) : MU_OK;
}

static int pre_metaspace(struct mu_tokenizer *t, struct mu_pre *p, json_t *v, const char *where, struct mu_err *e)
{
    bool old_prefix;
    const char *scheme = json_string_value(json_object_get(v, "prepend_scheme"));
    p->behaviour = MU_MERGED_NEXT;
    MU_TRY_RETURN(mu_tok_json_str(t, v, "replacement", "\xE2\x96\x81", &p->mark, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "split", true, &p->do_split, where, e));
    MU_TRY_RETURN(mu_tok_json_flag(v, "add_prefix_space", true, &old_prefix, where, e));
    p->prepend = old_prefix ? MU_PREPEND_ALWAYS : MU_PREPEND_NEVER;
    if (!scheme)
        return MU_OK;
    if (strcmp(scheme, "always") != 0 && strcmp(scheme, "never") != 0 && strcmp(scheme, "first") != 0)
        return mu_fail(e, MU_EUNSUPPORTED, "%s: prepend_scheme \"%.60s\" is none of always, never, first", where,
                       scheme);
    p->prepend = *scheme == 'a' ? MU_PREPEND_ALWAYS : *scheme == 'n' ? MU_PREPEND_NEVER : MU_PREPEND_FIRST;
    return MU_OK;
}

static int pre_digits(struct mu_pre *p, json_t *v, const char *where, struct mu_err *e)
{
    MU_TRY_RETURN(mu_tok_json_flag(v, "individual_digits", false, &p->do_split, where, e));
    p->behaviour = p->do_split ? MU_ISOLATED : MU_CONTIGUOUS;
    return MU_OK;
}

/* Scripts by name, each leaving its mark; kana counts as Han, as SentencePiece has it. */
static const char *const scripts[] = {
    "Adlam",
    "Ahom",
    "Anatolian_Hieroglyphs",
    "Arabic",
    "Armenian",
    "Avestan",
    "Balinese",
    "Bamum",
    "Bassa_Vah",
    "Batak",
    "Bengali",
    "Bhaiksuki",
    "Bopomofo",
    "Brahmi",
    "Braille",
    "Buginese",
    "Buhid",
    "Canadian_Aboriginal",
    "Carian",
    "Caucasian_Albanian",
    "Chakma",
    "Cham",
    "Cherokee",
    "Common",
    "Coptic",
    "Cuneiform",
    "Cypriot",
    "Cyrillic",
    "Deseret",
    "Devanagari",
    "Duployan",
    "Egyptian_Hieroglyphs",
    "Elbasan",
    "Ethiopic",
    "Georgian",
    "Glagolitic",
    "Gothic",
    "Grantha",
    "Greek",
    "Gujarati",
    "Gurmukhi",
    "Han",
    "Hangul",
    "Hanunoo",
    "Hatran",
    "Hebrew",
    "Hiragana",
    "Imperial_Aramaic",
    "Inherited",
    "Inscriptional_Pahlavi",
    "Inscriptional_Parthian",
    "Javanese",
    "Kaithi",
    "Kannada",
    "Katakana",
    "Kayah_Li",
    "Kharoshthi",
    "Khmer",
    "Khojki",
    "Khudawadi",
    "Lao",
    "Latin",
    "Lepcha",
    "Limbu",
    "Linear_A",
    "Linear_B",
    "Lisu",
    "Lycian",
    "Lydian",
    "Mahajani",
    "Malayalam",
    "Mandaic",
    "Manichaean",
    "Marchen",
    "Meetei_Mayek",
    "Mende_Kikakui",
    "Meroitic_Cursive",
    "Meroitic_Hieroglyphs",
    "Miao",
    "Modi",
    "Mongolian",
    "Mro",
    "Multani",
    "Myanmar",
    "Nabataean",
    "New_Tai_Lue",
    "Newa",
    "Nko",
    "Ogham",
    "Ol_Chiki",
    "Old_Hungarian",
    "Old_Italic",
    "Old_North_Arabian",
    "Old_Permic",
    "Old_Persian",
    "Old_South_Arabian",
    "Old_Turkic",
    "Oriya",
    "Osage",
    "Osmanya",
    "Pahawh_Hmong",
    "Palmyrene",
    "Pau_Cin_Hau",
    "Phags_Pa",
    "Phoenician",
    "Psalter_Pahlavi",
    "Rejang",
    "Runic",
    "Samaritan",
    "Saurashtra",
    "Sharada",
    "Shavian",
    "Siddham",
    "SignWriting",
    "Sinhala",
    "Sora_Sompeng",
    "Sundanese",
    "Syloti_Nagri",
    "Syriac",
    "Tagalog",
    "Tagbanwa",
    "Tai_Le",
    "Tai_Tham",
    "Tai_Viet",
    "Takri",
    "Tamil",
    "Tangut",
    "Telugu",
    "Thaana",
    "Thai",
    "Tibetan",
    "Tifinagh",
    "Tirhuta",
    "Ugaritic",
    "Vai",
    "Warang_Citi",
    "Yi",
};

static int pre_scripts(struct mu_pre *p, const char *where, struct mu_err *e)
{
    struct mu_buf text = MU_BUF_INIT("a pattern", MU_REGEX_BYTES_MAX);
    int rc = MU_OK;
    MU_TRY(mu_buf_puts(&text, "\\x{30FC}(*:Han)|\\p{Latin}(*:Latin)", e));
    for (size_t i = 0; i < MU_COUNT(scripts); i++) {
        bool is_kana = strcmp(scripts[i], "Hiragana") == 0 || strcmp(scripts[i], "Katakana") == 0;
        MU_TRY(mu_buf_printf(&text, e, "|\\p{%s}(*:%s)", scripts[i], is_kana ? "Han" : scripts[i]));
    }
    MU_TRY(mu_regex_compile(&p->pattern.regex, mu_buf_str(&text), where, e));
out:
    mu_buf_fini(&text);
    return rc;
}

static int pre_fields(struct mu_tokenizer *t, struct mu_pre *p, json_t *v, const char *where, struct mu_err *e)
{
    switch (p->kind) {
    case MU_PRE_BYTE_LEVEL:
        return pre_byte_level(p, v, where, e);
    case MU_PRE_SPLIT:
        MU_TRY_RETURN(read_behaviour(v, MU_ISOLATED, &p->behaviour, where, e));
        MU_TRY_RETURN(mu_tok_json_flag(v, "invert", false, &p->invert, where, e));
        return mu_tok_json_pattern(t, v, &p->pattern, where, e);
    case MU_PRE_PUNCTUATION:
        return read_behaviour(v, MU_ISOLATED, &p->behaviour, where, e);
    case MU_PRE_DIGITS:
        return pre_digits(p, v, where, e);
    case MU_PRE_METASPACE:
        return pre_metaspace(t, p, v, where, e);
    case MU_PRE_DELIMITER:
        return mu_tok_json_str(t, v, "delimiter", NULL, &p->mark, where, e);
    case MU_PRE_SCRIPTS:
        return pre_scripts(p, where, e);
    case MU_PRE_FIXED_LENGTH:
        p->length = 5;
        return mu_json_has(v, "length") ? mu_json_int(v, "length", 1, INT32_MAX, &p->length, where, e) : MU_OK;
    case MU_PRE_WHITESPACE:
    case MU_PRE_WHITESPACE_SPLIT:
    case MU_PRE_BERT:
        break;
    }
    return MU_OK;
}

static int pre_step(struct mu_tokenizer *t, json_t *v, int depth, const char *where, struct mu_err *e)
{
    static const struct {
        const char *name;
        enum mu_pre_kind kind;
    } names[] = {{"ByteLevel", MU_PRE_BYTE_LEVEL},         {"Split", MU_PRE_SPLIT},
                 {"Whitespace", MU_PRE_WHITESPACE},        {"WhitespaceSplit", MU_PRE_WHITESPACE_SPLIT},
                 {"Punctuation", MU_PRE_PUNCTUATION},      {"Digits", MU_PRE_DIGITS},
                 {"Metaspace", MU_PRE_METASPACE},          {"BertPreTokenizer", MU_PRE_BERT},
                 {"CharDelimiterSplit", MU_PRE_DELIMITER}, {"UnicodeScripts", MU_PRE_SCRIPTS},
                 {"FixedLength", MU_PRE_FIXED_LENGTH}};
    const char *type;
    json_t *list, *child;
    size_t i;

    MU_TRY_RETURN(step_type(v, "pre_tokenizer", &type, where, e));
    if (strcmp(type, "Sequence") == 0) {
        if (depth == SEQUENCE_DEPTH_MAX)
            return mu_fail(e, MU_ELIMIT, "%s: sequences of the pre-tokenizer nest deeper than %d", where, depth);
        MU_TRY_RETURN(mu_json_array(v, "pretokenizers", &list, where, e));
        json_array_foreach(list, i, child) MU_TRY_RETURN(pre_step(t, child, depth + 1, where, e));
        return MU_OK;
    }
    if (t->n_pres == MU_TOK_STEPS_MAX)
        return mu_fail(e, MU_ELIMIT, "%s: the pre-tokenizer has more than %d steps", where, MU_TOK_STEPS_MAX);
    for (i = 0; i < MU_COUNT(names); i++) {
        if (strcmp(type, names[i].name) != 0)
            continue;
        struct mu_pre *p = &t->pres[t->n_pres++];
        p->kind = names[i].kind;
        return pre_fields(t, p, v, where, e);
    }
    return mu_fail(e, MU_EUNSUPPORTED, "%s: pre-tokenizer \"%.60s\" is not known", where, type);
}

int mu_tok_json_pretokenizer(struct mu_tokenizer *t, json_t *v, const char *where, struct mu_err *e)
{
    if (!v || json_is_null(v))
        return MU_OK;
    MU_TRY_RETURN(MU_NEW_ARRAY(&t->pres, MU_TOK_STEPS_MAX, "the pre-tokenizer", e));
    return pre_step(t, v, 0, where, e);
}
