#include "gateway/outcome.h"

static const char *const names[] = {
#define OUTCOME_NAME(name, text) [OUTCOME_##name] = text,
    OUTCOMES(OUTCOME_NAME)
#undef OUTCOME_NAME
};

enum outcome outcome_of(unsigned status, enum reason why)
{
    switch (why) {
    case REASON_DONE:
        if (status < 400)
            return OUTCOME_OK;
        return status < 500 ? OUTCOME_CLIENT_ERROR : OUTCOME_UPSTREAM_ERROR;
    case REASON_BAD_REQUEST:
    case REASON_HEAD_TIMEOUT:
        return OUTCOME_CLIENT_ERROR;
    case REASON_REFUSED_POLICY:
        return OUTCOME_REFUSED;
    case REASON_UPSTREAM_DOWN:
        return OUTCOME_UPSTREAM_DOWN;
    case REASON_CLIENT_LEFT:
        return OUTCOME_CLIENT_LEFT;
    case REASON_LOCAL_STOP:
        return OUTCOME_STOPPED;
    case REASON_LIMIT:
    case REASON_MEMORY:
        return OUTCOME_CUT;
    default:
        return OUTCOME_UPSTREAM_FAILED;
    }
}

const char *outcome_name(enum outcome o)
{
    return o < OUTCOME_COUNT ? names[o] : "unknown";
}
