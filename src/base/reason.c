#include "base/reason.h"

const char *reason_name(enum reason why)
{
    static const char *const names[] = {
#define REASON_TEXT(name, text) text,
        REASONS(REASON_TEXT)
#undef REASON_TEXT
    };

    if ((unsigned)why >= REASON_COUNT)
        return "unknown";
    return names[why];
}
