/* frpc.ini, both ways: `mlgate client -c FILE` reads what was written for the original client, and
 * the environment form writes one that the original client can run. */
#ifndef CONFIG_FRPC_H
#define CONFIG_FRPC_H

#include <stddef.h>

#include "config/client_config.h"
#include "config/ini.h"

struct problems;

/* Reads `path` with frp's meaning and defaults. `get` answers the variables of templates and
 * `http_proxy`, and may be NULL. 0, or a negative code with every error in `problems` and *out
 * empty. run_id_file is PATH.run_id. Warnings may be there in both cases. */
int frpc_load(const char *path, ini_getenv *get, void *context, struct client_config *out,
              struct problems *problems);
/* The same from text that was read from `name`. */
int frpc_parse(const char *name, const char *text, size_t len, ini_getenv *get, void *context,
               struct client_config *out, struct problems *problems);

/* The file for server number `server` of the configuration, which the original frpc reads with the
 * same token, names and ports. The caller frees *out with mem_free_secret. ERR_SYNTAX when a value
 * has no spelling in the INI format. Pins have no key in frp: a comment says so. */
int frpc_render(const struct client_config *cfg, size_t server, char **out);

/* Renders into dir/name: atomic, mode 0600, the directory made 0700 when it is missing. Otherwise a
 * negative code with the text for people in `why`. */
int frpc_write(const struct client_config *cfg, size_t server, const char *dir, const char *name,
               char *why, size_t why_size);

#endif
