/* The bodies the stand-in answers with: OpenAI's shapes as vLLM writes them, MLNode's own as
 * FastAPI does. Pure: ids and times come from the caller. Everything is appended to `out`. */
#ifndef TESTNODE_ANSWER_H
#define TESTNODE_ANSWER_H

#include "testnode/ask.h"
#include "testnode/blob.h"
#include "testnode/model.h"

enum { ANSWER_ID_MAX = 64 };

/* One completion being answered. A stream is a row of steps: for chat the role, then one step a
 * token, the finish, the usage when asked for, and [DONE]. */
struct answer {
    const struct ask *ask; /* the caller's, for as long as this lives */
    char id[ANSWER_ID_MAX];
    struct blob open; /* the fields that every event of this answer begins with */
};

/* `serial` tells answers of this process apart; `created` is in seconds since 1970. */
void answer_init(struct answer *a, const struct ask *ask, const char *model, uint64_t serial,
                 uint64_t created);
void answer_clear(struct answer *a);

size_t answer_steps(const struct answer *a);
/* Which token the step carries, counted from 0; false when it carries none. */
bool answer_step_token(const struct answer *a, size_t step, size_t *token);
/* The whole server-sent event of a step, "data: " to the empty line. */
void answer_event(const struct answer *a, size_t step, uint64_t stamp_ns, struct blob *out);
/* The answer without streaming. */
void answer_full(const struct answer *a, struct blob *out);
/* Token `index`: a word of the prompt, the index and a blank, so that loss and reordering show. */
void answer_token(const struct ask *ask, size_t index, struct blob *out);

/* vLLM makes up a new permission id for each call, so that no two answers are the same bytes:
 * `serial` tells them apart; 0 leaves the permissions out. */
void answer_models(const char *model, uint64_t created, uint64_t serial, struct blob *out);
/* 0 or the errors of ask_each_word, then with nothing appended. */
int answer_tokenize(const char *json, size_t len, struct blob *out, const char **why);
/* {"error": {...}} as OpenAI's API says it. */
void answer_error(int status, const char *message, struct blob *out);
/* {"detail": ...} as FastAPI says it. */
void answer_detail(const char *message, struct blob *out);

void answer_state(const struct model *m, struct blob *out);
void answer_health(const struct model *m, struct blob *out);
/* Proof of compute: what its start and its end say, and its state. */
void answer_poc_begun(size_t backends, struct blob *out);
void answer_poc_status(const struct model *m, struct blob *out);
void answer_up_status(const struct model *m, uint64_t now_ms, struct blob *out);

/* Bytes `from` … `from + len` of the endless test pattern: each aligned run of 8 bytes holds its
 * own offset, big-endian, so that a missing or misplaced piece tells where it belongs. */
void answer_pattern(uint64_t from, char *out, size_t len);

#endif
