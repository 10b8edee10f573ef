#include "observe/advice.h"

#include <string.h>

const char *advice_port(const char *error, bool several)
{
    if (strstr(error, "already") != NULL && several)
        return "another session has it: a second container with the same CLIENT_ID, of which one "
               "must stop, or two entries of FRP_SERVER that lead to one server";
    if (strstr(error, "already") != NULL)
        return "another client has it, most likely a second container with the same CLIENT_ID: "
               "stop one of the two";
    if (strstr(error, "unavailable") != NULL)
        return "another program on the network node has it: `ss -ltnp` there says which";
    if (strstr(error, "not allowed") != NULL)
        return "the server's --allow-ports (allow_ports) must have it";
    return NULL;
}
