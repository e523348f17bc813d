/* stories.c - the trained stories260K against its float64 reference: log-probabilities and greedy text */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "rig.h"

static void compare(struct rig *r, const json_t *text)
{
    int n;
    int32_t *ids = rig_ids(json_object_get(text, "ids"), &n);
    const json_t *want = json_object_get(text, "token_logprobs");
    double sum_is = 0, sum_want = 0;

    rig_feed(r, 0, 0, ids, n);
    for (int i = 0; i + 1 < n; i++) {
        struct mu_err err = MU_ERR_INIT;
        const float *logits = rig_logits(r, i);
        int32_t argmax;
        double lse, w = json_number_value(json_array_get(want, (size_t)i));
        XT_OK(r->d->ops->logsumexp(r->d, logits, r->vocab, 1, r->vocab, &argmax, &lse, &err));
        double is = (double)logits[ids[i + 1]] - lse;
        XT_NEAR(is, w, 2e-5);
        sum_is += is;
        sum_want += w;
    }
    XT_NEAR(sum_is, sum_want, 1e-5 * fabs(sum_want) + 1e-5);
    mu_free(ids);
}

XT_TEST(log_probabilities_match)
{
    struct mu_err err = MU_ERR_INIT;
    struct rig r;
    json_t *reference, *v;
    const char *key;

    XT_OK(mu_json_load(&reference, xt_data("models/stories260K/reference.json"), &err));
    xt_data("models/stories260K-hf/model.safetensors");
    rig_open(&r, xt_data("models/stories260K-hf"), &(struct rig_opts){0});
    int n_texts = 0;
    json_object_foreach(reference, key, v)
    {
        if (json_is_object(v) && json_object_get(v, "token_logprobs")) {
            compare(&r, v);
            n_texts++;
        }
        size_t i;
        json_t *item;
        json_array_foreach(v, i, item)
        {
            if (json_object_get(item, "token_logprobs")) {
                compare(&r, item);
                n_texts++;
            }
        }
    }
    XT_CHECK(n_texts > 0);
    rig_close(&r);
    json_decref(reference);
}

XT_TEST(greedy_text_matches)
{
    struct mu_err err = MU_ERR_INIT;
    struct rig r;
    json_t *reference;
    int n;

    XT_OK(mu_json_load(&reference, xt_data("models/stories260K/reference.json"), &err));
    int32_t *ids = rig_ids(json_object_get(json_object_get(reference, "greedy_from_bos"), "ids"), &n);
    rig_open(&r, xt_data("models/stories260K-hf"), &(struct rig_opts){0});
    for (int i = 0; i + 1 < n; i++) {
        rig_feed(&r, 0, i, &ids[i], 1);
        XT_EQ(rig_argmax(&r, rig_logits(&r, 0)), ids[i + 1]);
    }
    mu_free(ids);
    rig_close(&r);
    json_decref(reference);
}

XT_MAIN()
