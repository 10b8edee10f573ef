/* The server's configuration: a legacy frps.ini with frp's meaning, or flags and environment with
 * safer defaults. One table has the flag, the variable and the INI key of each setting. Calls on
 * one server_config are made in the order of precedence, lowest first: defaults or file, then
 * environment, then flags, then the check. */
#ifndef CONFIG_FRPS_H
#define CONFIG_FRPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/ini.h"
#include "config/server_config.h"

struct problems;

/* One setting of the server as the command line sees it. */
struct server_option {
    const char *flag;       /* without the dashes */
    const char *env;        /* the variable of the same meaning */
    const char *ini;        /* frps.ini's key; NULL: frp has none */
    const char *value_name; /* for help; NULL: the flag takes no value */
    const char *fallback;   /* the default of the flag form, in words */
    const char *help;
};

extern const struct server_option server_options[];
extern const size_t server_n_options;

/* The flag form: TLS only, the two port ranges of CLIENT_ID, users reach the ports on loopback. */
void server_config_defaults(struct server_config *cfg);

/* Sets what --flag says. `value` is NULL for a flag without a value. false when the flag is not
 * known or the value is refused; the problem is added, and cfg stays as it was. */
bool server_config_set(struct server_config *cfg, const char *flag, const char *value,
                       struct problems *problems);
/* Whether the flag is known, and whether it takes a value. */
const struct server_option *server_option_find(const char *flag);

/* Applies the variables of the table, and SECRET_FRP_TOKEN. Set but empty counts as not set. */
bool server_config_env(struct server_config *cfg, char *const *environ_list,
                       struct problems *problems);

/* What only the whole can tell: certificate and key together, a token unless `token_optional` (as
 * it is in frps.ini, with a warning). */
bool server_config_check(const struct server_config *cfg, bool token_optional,
                         struct problems *problems);

/* Reads `path` with frp's meaning and defaults, with a warning for each of tls_only, allow_ports
 * and proxy_bind_addr that is absent. `get` answers the variables of templates and may be NULL.
 * 0, or a negative code with every error in `problems` and *out empty. */
int frps_load(const char *path, ini_getenv *get, void *context, struct server_config *out,
              struct problems *problems);
/* The same from text that was read from `name`. */
int frps_parse(const char *name, const char *text, size_t len, ini_getenv *get, void *context,
               struct server_config *out, struct problems *problems);

/* All of it, in the order of precedence. `words` (ends with NULL) are the server's command line:
 * its flags, "--flag VALUE" or "--flag=VALUE", and -c FILE. 0; or a negative code with every error
 * in `problems` and *out empty, or with *stray at the first word that is no flag or lacks its
 * value.
 */
int server_config_load(char *const *environ_list, char *const *words, struct server_config *out,
                       const char **stray, struct problems *problems);
/* The file that `words` name with -c, or NULL. */
const char *server_config_file(char *const *words);

/* Flags, variables and defaults in words, for `mlgate help server`. */
void server_help(FILE *out, bool colour);

#endif
