/* export_json.h - the vocabulary inside a GGUF file as tokenizer.json and tokenizer_config.json
 *
 * Both files opened again give the ids that the GGUF file gives, here and in Hugging Face tokenizers. Vocabularies of
 * tokenizer.ggml.model "gpt2" (byte-level BPE) and "llama" (SentencePiece BPE). */
#ifndef MU_TOK_EXPORT_JSON_H
#define MU_TOK_EXPORT_JSON_H

#include "base/buf.h"
#include <muster/err.h>
#include <muster/tokenizer.h>

/* Appends the two texts. path: the .gguf file, the first of a split one. MU_EUNSUPPORTED: another tokenizer model, or
 * two tokens of one spelling; and all of mu_tokenizer_open(). */
int mu_tok_export_gguf(const char *path, struct mu_buf *tokenizer, struct mu_buf *config, struct mu_err *e);

/* Appends the JSON list of merges that a vocabulary with scores stands for: every token in every way of cutting it into
 * two tokens, best score first, and of equal scores the longest left side first, as transformers' converter has it. */
int mu_tok_export_merges(const mu_tokenizer *t, struct mu_buf *out, struct mu_err *e);

#endif
