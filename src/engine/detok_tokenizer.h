/* detok_tokenizer.h - the real member of struct mu_detok_ops; arg is a const mu_tokenizer * */
#ifndef MU_ENGINE_DETOK_TOKENIZER_H
#define MU_ENGINE_DETOK_TOKENIZER_H

#include "engine/text.h"

extern const struct mu_detok_ops mu_detok_tokenizer_ops;

#endif
