#include "base/err.h"

const char *err_name(int code)
{
    switch (code) {
    case ERR_OK:
        return "ok";
    case ERR_MORE:
        return "more-input-needed";
    case ERR_SYNTAX:
        return "syntax";
    case ERR_LIMIT:
        return "limit";
    case ERR_TYPE:
        return "type";
    case ERR_NOTNOW:
        return "state";
    case ERR_AUTH:
        return "auth";
    case ERR_CRYPTO:
        return "crypto";
    case ERR_IO:
        return "io";
    case ERR_EXISTS:
        return "exists";
    case ERR_NOTFOUND:
        return "not-found";
    default:
        return "unknown";
    }
}
