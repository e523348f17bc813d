/* fake_engine.h - a light engine over the fake model, for tests */
#ifndef TESTS_ENGINE_FAKE_ENGINE_H
#define TESTS_ENGINE_FAKE_ENGINE_H

#include "engine/fake_runner.h"
#include "engine/light.h"

#define FAKE_VOCAB   96
#define FAKE_CONTEXT 256

/* Text of a token: one printable character, "<id>" for token 95. */
extern const struct mu_detok_ops fake_detok_ops;

struct fake_setup {
    struct mu_engine_opts opts;
    struct mu_fake_opts model;
    int32_t eos; /* -1: none */
    bool has_text;
    struct mu_runner *runner; /* borrowed, for its counts */
};

#define FAKE_SETUP_INIT                                                                                                \
    {                                                                                                                  \
        .opts = MU_ENGINE_OPTS_INIT, .model = {FAKE_VOCAB, FAKE_CONTEXT, -1, -1, -1, 0, false, false}, .eos = -1       \
    }

int fake_engine_open(mu_engine **out, struct fake_setup *s, struct mu_err *e);

#endif
