/* What MLNode's and vLLM's answers say, out of their JSON. Pure. Whatever is not what it should be
 * is no answer; members that are not needed may hold anything, and new ones may appear. */
#ifndef GATEWAY_MLNODE_H
#define GATEWAY_MLNODE_H

#include <stdbool.h>
#include <stddef.h>

enum { MLNODE_STATE_MAX = 32 };
#define MLNODE_STATE_PATH "/api/v1/state"

/* The member "state" of GET /api/v1/state, which is all that old versions have. False when there is
 * none, or one that is no word of at most MLNODE_STATE_MAX - 1 letters. */
bool mlnode_state(const char *body, size_t len, char out[MLNODE_STATE_MAX]);

/* The model ids of GET /v1/models in a form that is equal for equal sets, whatever their order and
 * whatever else is said of them (times and permission ids differ from call to call). NULL when the
 * answer is not such a list, or names nothing. The caller frees. */
char *mlnode_models(const char *body, size_t len);

#endif
