/* Arguments of vLLM as they stand in a node object of the API node, in the only form that MLNode
 * understands where it looks itself: it reads how many GPUs one engine takes from
 * "--tensor-parallel-size", "N" and "--pipeline-parallel-size", "N", each two words, and from
 * nothing else that vLLM takes for the same. With another spelling it starts too many engines. */
#ifndef CONFIG_ENGINE_ARGS_H
#define CONFIG_ENGINE_ARGS_H

#include <stdbool.h>
#include <stddef.h>

struct problems;

enum {
    ENGINE_ARGS_MAX = 256,       /* words; honest lists have one or two dozen */
    ENGINE_ARG_BYTES_MAX = 8192, /* of one word; a chat template is the longest */
    ENGINE_PARALLEL_MAX = 128,   /* GPUs of an engine; MLNode starts no more engines than this */
};

struct engine_args {
    char **words; /* owned */
    size_t n;
};

/* What the arguments must agree with. */
struct engine_wish {
    const char *model;
    int tensor_parallel_size;
    bool size_given; /* by variable or flag; otherwise the arguments may say another one */
};

/* `words` (ends with NULL) are what the operator adds. *out begins with "--tensor-parallel-size",
 * and has the other words in their order; engine_args_free releases it, also after errors. Errors:
 * a flag twice (vLLM obeys the last one, MLNode the first), a size that contradicts the wish or is
 * no number, an abbreviated size, what MLNode itself says (--model, --host, --port), a value
 * without a flag, words that JSON cannot hold. Warnings: --served-model-name with another name, and
 * --data-parallel-size. */
void engine_args_read(char *const *words, const struct engine_wish *wish, struct engine_args *out,
                      struct problems *problems);
void engine_args_free(struct engine_args *args);

#endif
