/* What a completion request asks for, read from its JSON body. Pure. */
#ifndef TESTNODE_ASK_H
#define TESTNODE_ASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ASK_TOKENS_MAX = 1000000, /* of one answer: hours at the usual rate */
    ASK_RATE_MAX = 1000000,   /* tokens a second; more is 0 = as fast as possible */
    ASK_PERIOD_MAX_S = 1000,  /* seconds a token; keeps sums of nanoseconds inside 64 bits */
    ASK_EVENT_BYTES_MAX = 1024 * 1024, /* the API node reads event lines up to this length */
    ASK_DELAY_MAX_MS = 3600 * 1000,
    ASK_WORDS_MAX = 64, /* words of the prompt that are kept for the answer */
    ASK_WORD_MAX = 32,  /* bytes of a kept word */
};

struct ask_defaults {
    double rate;
    size_t tokens;
};

/* Plain data. The vendor field `mlgate_test` of the request body sets what OpenAI's API has no word
 * for: {"event_bytes": N, "tokens": N, "rate": R, "stamp": true, "delay_ms": N}. */
struct ask {
    bool chat;
    bool stream;
    bool include_usage;
    bool stamp;    /* CLOCK_MONOTONIC nanoseconds in each event */
    bool cut;      /* max_tokens ended the answer early: finish_reason "length" */
    double rate;   /* tokens a second, 0 = as fast as possible */
    size_t tokens; /* to generate, at least 1 */
    size_t
        event_bytes; /* pad each JSON event to exactly this many bytes, if it is shorter; 0 = no */
    unsigned delay_ms; /* before the first byte of the answer */
    size_t prompt_tokens;
    size_t n_words;
    char words[ASK_WORDS_MAX]
              [ASK_WORD_MAX + 1]; /* letters and digits of the prompt, no escapes needed */
};

/* 0, or within the limits above. */
bool ask_rate_ok(double rate);
/* 0, or ERR_SYNTAX (not JSON) or ERR_TYPE (JSON of the wrong shape) with *why, static text. */
int ask_parse(struct ask *ask, bool chat, const char *json, size_t len,
              const struct ask_defaults *defaults, const char **why);
/* The words of the prompt or of the last message, one call each, `len` bytes at `word`. Same
 * errors. */
int ask_each_word(const char *json, size_t len,
                  void (*each)(void *arg, const char *word, size_t len), void *arg,
                  const char **why);

#endif
