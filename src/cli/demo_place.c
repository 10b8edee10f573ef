#include "cli/demo_place.h"

#include <errno.h>
#include <ftw.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/text.h"
#include "config/env.h"
#include "config/frps.h"

enum {
    CLIENT_IDS = 9999, /* 0001 to 9999 */
    PER_LEADING_DIGIT = 10000,
    PORT_FIRST = 30000, /* above the two ranges of CLIENT_ID, below Linux's ephemeral ports */
    PORTS = 2768,
    REMOVE_DESCRIPTORS = 8,
};

char *place_make(char *why, size_t why_size)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = mem_printf("%s/mlgate-demo-XXXXXX", tmp && tmp[0] == '/' ? tmp : "/tmp");

    if (mkdtemp(dir) != NULL)
        return dir;
    snprintf(why, why_size, "cannot make a directory like %s: %s", dir, strerror(errno));
    mem_free(dir);
    return NULL;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    remove(path); /* what cannot go is left behind, and the rest still goes */
    return 0;
}

void place_remove(const char *dir)
{
    if (dir != NULL)
        nftw(dir, remove_one, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
}

static void fill_random(void *out, size_t len)
{
    /* up to 256 bytes come whole; before the kernel's pool is ready this waits */
    while (getrandom(out, len, 0) != (ssize_t)len)
        continue;
}

void place_token(char out[PLACE_TOKEN_SIZE])
{
    uint8_t bytes[(PLACE_TOKEN_SIZE - 1) / 2];

    fill_random(bytes, sizeof(bytes));
    text_hex(out, bytes, sizeof(bytes));
}

static bool port_free(unsigned port)
{
    const struct sockaddr_in at = {.sin_family = AF_INET,
                                   .sin_port = htons((uint16_t)port),
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    bool bound;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)); /* as the server will */
    bound = bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
    close(fd);
    return bound;
}

static bool all_free(unsigned first, unsigned n)
{
    while (n > 0 && port_free(first + n - 1))
        n--;
    return n == 0;
}

uint16_t place_ports(unsigned n)
{
    uint32_t places = PORTS - n + 1;
    uint32_t start;

    fill_random(&start, sizeof(start));
    for (uint32_t i = 0; i < places; i++) {
        unsigned first = PORT_FIRST + (start % places + i) % places;

        if (all_free(first, n))
            return (uint16_t)first;
    }
    return 0;
}

bool place_client_id(char out[PLACE_CLIENT_ID_SIZE])
{
    uint32_t start;

    fill_random(&start, sizeof(start));
    for (uint32_t i = 0; i < CLIENT_IDS; i++) {
        unsigned id = 1 + (start % CLIENT_IDS + i) % CLIENT_IDS;

        if (!port_free(PER_LEADING_DIGIT + id) || !port_free(2 * PER_LEADING_DIGIT + id))
            continue;
        snprintf(out, PLACE_CLIENT_ID_SIZE, "%04u", id);
        return true;
    }
    return false;
}

/* ---- environment ----------------------------------------------------------------------------- */

static bool names(const char *entry, const char *name)
{
    size_t len = strlen(name);

    return strncmp(entry, name, len) == 0 && entry[len] == '=';
}

static bool is_ours(const char *entry)
{
    for (size_t i = 0; i < env_n_fields; i++)
        if (names(entry, env_fields[i].name))
            return true;
    for (size_t i = 0; i < server_n_options; i++)
        if (names(entry, server_options[i].env))
            return true;
    return false;
}

static char **append(char **list, size_t *n, const char *entry)
{
    list = mem_array(list, *n + 2, sizeof(*list));
    list[(*n)++] = mem_strdup(entry);
    list[*n] = NULL;
    return list;
}

char **place_environment(char *const *settings)
{
    char **list = mem_array(NULL, 1, sizeof(*list));
    size_t n = 0;

    list[0] = NULL;
    for (char **entry = environ; *entry != NULL; entry++)
        if (!is_ours(*entry))
            list = append(list, &n, *entry);
    for (; *settings != NULL; settings++)
        list = append(list, &n, *settings);
    return list;
}

void place_environment_free(char **list)
{
    for (size_t i = 0; list[i] != NULL; i++)
        mem_free_secret(list[i], strlen(list[i]));
    mem_free(list);
}
