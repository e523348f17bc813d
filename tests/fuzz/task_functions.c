/* task_functions.c - any text as a document's text and as a model's response, through the functions that read either */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "base/json.h"
#include "base/utf8.h"
#include "eval/docs/processor.h"
#include "eval/filter/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const struct mu_function *find(const char *folder, const char *name, enum mu_function_kind kind)
{
    const struct mu_function *f = mu_function_find(folder, name, kind);
    if (!f)
        abort();
    return f;
}

static void score(const char *folder, const char *name, const char *doc, json_t *responses)
{
    struct mu_err err;
    json_t *d = json_loads(doc, 0, NULL), *out = NULL;
    if (!d)
        abort();
    int rc = find(folder, name, MU_FUNCTION_RESULTS)->results(d, responses, &out, &err);
    if (rc != MU_OK && rc != MU_ELIMIT)
        abort(); /* no response is malformed */
    json_decref(out);
    json_decref(d);
}

static void instruct(const char *id, const char *kwargs, json_t *responses)
{
    char doc[512];
    (void)snprintf(doc, sizeof doc, "{\"instruction_id_list\": [\"%s\"], \"kwargs\": [%s]}", id, kwargs);
    score("ifeval", "utils.process_results", doc, responses);
}

static void filter(const char *folder, const char *name, json_t *responses)
{
    struct mu_err err;
    json_t *resps = json_pack("[O]", responses), *docs = json_pack("[{}]"), *out = NULL;
    int rc = find(folder, name, MU_FUNCTION_FILTER)->filter(resps, docs, &out, &err);
    if (rc != MU_OK && rc != MU_ELIMIT)
        abort();
    json_decref(out);
    json_decref(resps);
    json_decref(docs);
}

static void number(json_t *responses)
{
    struct mu_err err;
    json_t *resps = json_pack("[O]", responses), *kwargs = json_pack("{s:s}", "regex_pattern", "([-0-9]+)"),
           *out = NULL;
    const struct mu_function *f = find("bbh", "utils.NumberParseRegexFilter", MU_FUNCTION_FILTER_CLASS);
    int rc = f->filter_class->apply(kwargs, resps, resps, &out, &err);
    if (rc != MU_OK && rc != MU_ELIMIT)
        abort();
    json_decref(out);
    json_decref(resps);
    json_decref(kwargs);
}

static void as_document(json_t *text)
{
    struct mu_err err;
    json_t *page = json_pack("{s:O}", "page", text), *out = NULL,
           *docs = json_pack("[{s:O, s:O, s:O, s:[O], s:s}]", "activity_label", text, "ctx_a", text, "ctx_b", text,
                             "endings", text, "label", "0");
    if (find("wikitext", "preprocess_wikitext.wikitext_detokenizer", MU_FUNCTION_FIELD)->field(page, &out, &err))
        abort();
    json_decref(out);
    if (find("hellaswag", "utils.process_docs", MU_FUNCTION_DOCS)->docs(docs, &out, &err))
        abort();
    json_decref(out);
    json_decref(page);
    json_decref(docs);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    mu_json_init();
    n = mu_utf8_valid_prefix((const char *)data, n < 4096 ? n : 4096);
    json_t *text = json_stringn(n ? (const char *)data : "", n), *responses = text ? json_pack("[O]", text) : NULL;
    if (!responses)
        abort();
    as_document(text);
    score("drop", "utils.process_results", "{\"answers\": [[\"12 geese\", \"a goose\"], [\"1e3\"]]}", responses);
    score("truthfulqa", "utils.process_results_gen",
          "{\"correct_answers\": [\"Geese fly . They do.\"], \"incorrect_answers\": [\"No\"]}", responses);
    instruct("detectable_format:json_format", "{}", responses);
    instruct("detectable_format:title", "{}", responses);
    instruct("detectable_format:number_bullet_lists", "{\"num_bullets\": 2}", responses);
    instruct("detectable_format:number_highlighted_sections", "{\"num_highlights\": 2}", responses);
    instruct("length_constraints:number_paragraphs", "{\"num_paragraphs\": 2}", responses);
    instruct("length_constraints:nth_paragraph_first_word",
             "{\"num_paragraphs\": 2, \"nth_paragraph\": 1, \"first_word\": \"a\"}", responses);
    instruct("combination:two_responses", "{}", responses);
    filter("mbpp", "utils.build_predictions", responses);
    number(responses);
    json_decref(responses);
    json_decref(text);
    return 0;
}
