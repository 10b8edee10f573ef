/* `mlgate register --send`. The admin port has no password, and gives the network node's key to who
 * asks for its configuration: only POST /admin/v1/nodes is ever sent, and only from nearby. */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/register_node.h"
#include "cli/run_environment.h"
#include "container/health.h"
#include "net/fetch.h"

enum {
    SEND_MS = 30 * 1000,     /* the API node asks the node it hears of before it answers */
    ANSWER_MAX = 256 * 1024, /* the node and what is known of it; a few KiB */
    SHOWN = 1000,            /* of an answer; the rest says nothing new */
    SERVICE_SIZE = 8,
};

static int refuse(const char *why)
{
    fprintf(stderr, "mlgate register: not sent: %s\n", why);
    return 1;
}

/* ---- where we are ---------------------------------------------------------------------------- */

/* What the platforms give to PID 1 of a rented container, and the one variable that every GPU
 * container of ours has. */
static const char *rented(void)
{
    static const char *const marks[] = {"FRP_SERVER=", "RUNPOD_", "VAST_",
                                        "CONTAINER_API_KEY=", NULL};
    const char *found = run_environment_find("/proc/1/environ", marks);

    return found ? found : run_environment_find("/proc/self/environ", marks);
}

static bool runs_here(const char *directory)
{
    struct health h;
    int rc = health_ask(directory, &h);

    return rc != -ENOENT && rc != -ECONNREFUSED && rc != -ENOTDIR;
}

static bool place_is_wrong(const struct registration *r)
{
    const char *mark = rented();

    if (mark != NULL)
        fprintf(stderr,
                "mlgate register: not sent: this is a GPU container (%s… is in its environment), "
                "and the admin port of an API node must not be reachable from there. Run this on "
                "the network node, or use the command that is printed without --send\n",
                mark);
    else if (runs_here(r->env.frp_config_dir))
        fprintf(stderr, "mlgate register: not sent: a `mlgate run` runs here, so this is a GPU "
                        "container. Run this on the network node\n");
    return mark != NULL || runs_here(r->env.frp_config_dir);
}

/* ---- where to -------------------------------------------------------------------------------- */

/* The first address of the target, when none of them is public; else "" and what is wrong in
 * `why`. Connecting goes to this address and asks no resolver again. */
static void find_address(const struct registration *r, char out[ADDR_TEXT], char *why, size_t size)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    char text[ADDR_TEXT];
    int rc = getaddrinfo(r->to.host, NULL, &hints, &list);

    out[0] = '\0';
    if (rc != 0)
        snprintf(why, size, "%s has no address: %s", r->to.host, gai_strerror(rc));
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        sockaddr_text(a->ai_addr, text);
        if (sockaddr_is_public(a->ai_addr)) {
            snprintf(why, size,
                     "%s is %s, an address that strangers reach, and the admin port gives the "
                     "node's key to who asks. Close it there, and send from the network node to "
                     "http://127.0.0.1:9200",
                     r->to.host, text);
            out[0] = '\0';
            break;
        }
        if (out[0] == '\0')
            memcpy(out, text, sizeof(text));
    }
    if (list != NULL)
        freeaddrinfo(list);
}

/* ---- sending --------------------------------------------------------------------------------- */

static int tell(const struct registration *r, const struct fetch_answer *answer)
{
    char text[SHOWN];
    const char *kind = answer->status == 200 ? "created or updated" : "refused";

    log_safe(text, sizeof(text), answer->body, answer->body_len);
    fprintf(stderr, "mlgate register: %s: node %s is %s (status %u): %s\n", answer->peer,
            r->env.node_id, kind, answer->status, text);
    return answer->status == 200 ? 0 : 1;
}

static int post(const struct registration *r, const char *address, const char *json)
{
    const struct fetch_request request = {.host = address,
                                          .port = r->to.port,
                                          .path = "/admin/v1/nodes",
                                          .json = json,
                                          .timeout_ms = SEND_MS,
                                          .body_max = ANSWER_MAX};
    struct fetch_answer answer;
    char error[FETCH_ERROR_MAX];
    int status;

    if (fetch(&request, &answer, error, sizeof(error)) != 0) {
        fprintf(stderr, "mlgate register: no answer from the API node at %s, port %u: %s\n",
                r->to.host, r->to.port, error);
        return 1;
    }
    status = tell(r, &answer);
    fetch_release(&answer);
    return status;
}

int register_node_send(const struct registration *r, const char *json)
{
    char address[ADDR_TEXT];
    char why[400] = "";

    if (place_is_wrong(r))
        return 1;
    find_address(r, address, why, sizeof(why));
    if (address[0] == '\0')
        return refuse(why);
    return post(r, address, json);
}
