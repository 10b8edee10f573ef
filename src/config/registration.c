#include "config/registration.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "config/env_internal.h"
#include "config/problem.h"
#include "config/typo.h"
#include "config/value.h"

enum {
    CONCURRENT_MAX = 1000 * 1000, /* requests of one node; a slip of the finger has more zeros */
    URL_MAX = 512,
};

#define AT(member) .offset = offsetof(struct registration, member)

const char *const registration_variables[] = {
    "CLIENT_ID", "NODE_ID", "MODEL_NAME", "TENSOR_PARALLEL_SIZE", "FRP_CONFIG_DIR", NULL,
};

static const struct field own_fields[] = {
    {.name = "--host",
     .kind = FIELD_HOST,
     AT(host),
     .fallback = "frps",
     .rule = "must be a bare name or address, without a scheme and without a port: the API node "
             "puts http:// before it and the node's ports behind it",
     .example = "frps",
     .help = "The name by which the API node reaches the FRP server: the server's service in a "
             "common compose network, or an address of the network node inside."},
    {.name = "--max-concurrent",
     .kind = FIELD_INT,
     AT(max_concurrent),
     .min = 1,
     .max = CONCURRENT_MAX,
     .fallback = "500",
     .rule = "must be a whole number from 1 to 1000000",
     .example = "500",
     .help = "How many requests the API node sends at a time."},
    {.name = "--send",
     .kind = FIELD_TEXT,
     AT(send),
     .max = URL_MAX,
     .rule = "must be http://HOST:PORT",
     .example = "http://127.0.0.1:9200",
     .help = "Send it to the API node's admin port, on the network node. Refused in a rented "
             "container, and towards a public address: who reaches that port owns the node's key."},
};

/* Each of the first stands for a variable; then own_fields in their order. */
static const struct env_flag flags[] = {
    {.name = "client-id", .variable = "CLIENT_ID"},
    {.name = "node-id", .variable = "NODE_ID"},
    {.name = "model", .variable = "MODEL_NAME"},
    {.name = "tensor-parallel-size", .variable = "TENSOR_PARALLEL_SIZE"},
    {.name = "host"},
    {.name = "max-concurrent"},
    {.name = "send"},
    {.name = "json", .alone = true},
};
enum {
    FLAG_CLIENT_ID = 0,
    FLAG_MODEL = 2,
    FLAG_SIZE = 3,
    OWN_FLAGS = 4, /* the first of them */
    FLAG_JSON = 7,
    FLAGS = sizeof(flags) / sizeof(flags[0]),
};

_Static_assert(OWN_FLAGS + sizeof(own_fields) / sizeof(own_fields[0]) == FLAG_JSON,
               "each flag of our own has its field");

/* ---- loading --------------------------------------------------------------------------------- */

static bool given(char *const *environ_list, const char *const *values, size_t flag)
{
    return values[flag] != NULL || env_given(environ_list, flags[flag].variable) != NULL;
}

static void load_contract(char *const *environ_list, const char *const *values,
                          struct registration *r, struct problems *problems)
{
    for (size_t i = 0; i < OWN_FLAGS; i++)
        if ((i != FLAG_CLIENT_ID && i != FLAG_MODEL) || given(environ_list, values, i))
            env_flag_load(&flags[i], values[i], environ_list, &r->env, problems);
    if (!given(environ_list, values, FLAG_CLIENT_ID))
        problem_add(problems, "CLIENT_ID", NULL, "is required and not set", "--client-id 0042");
    /* The contract's default is for test servers, and no model of the network. */
    if (!given(environ_list, values, FLAG_MODEL))
        problem_add(problems, "MODEL_NAME", NULL, "is required and not set",
                    "--model MiniMaxAI/MiniMax-M2.7");
    env_check_field(env_field("FRP_CONFIG_DIR"), env_given(environ_list, "FRP_CONFIG_DIR"), &r->env,
                    problems);
}

static void load_own(const char *const *values, struct registration *r, struct problems *problems)
{
    for (size_t i = OWN_FLAGS; i < FLAG_JSON; i++)
        env_check_field(&own_fields[i - OWN_FLAGS], values[i], r, problems);
    r->json = values[FLAG_JSON] != NULL;
}

/* "http://HOST:PORT", perhaps with the slash that people put behind it. */
static void load_target(struct registration *r, struct problems *problems)
{
    static const char scheme[] = "http://";
    const char *rest = r->send + strlen(scheme);
    size_t len = strlen(r->send);
    char *address;

    if (strncmp(r->send, "https://", 8) == 0) {
        problem_addf(problems, "--send",
                     "is https: the admin port speaks plain HTTP, and is asked from nearby only");
        return;
    }
    if (strncmp(r->send, scheme, strlen(scheme)) != 0) {
        problem_add(problems, "--send", r->send, own_fields[2].rule, own_fields[2].example);
        return;
    }
    if (len > strlen(scheme) && r->send[len - 1] == '/')
        len--;
    address = mem_strndup(rest, len - strlen(scheme));
    if (!value_host_port(address, &r->to))
        problem_add(problems, "--send", r->send, own_fields[2].rule, own_fields[2].example);
    mem_free(address);
}

static void warn(const struct registration *r, struct problems *problems)
{
    if (r->env.model_name[0] == '/')
        problem_warn(problems, "MODEL_NAME",
                     "is a path: the API node knows models of the network "
                     "by their names only");
    if (env_is_loopback(r->host))
        problem_warn(problems, "--host",
                     "%s is the API node itself, when that runs in a container of its own",
                     r->host);
    if (strtoul(r->args.words[1], NULL, 10) > (unsigned)env_field("TENSOR_PARALLEL_SIZE")->max)
        problem_warn(problems, "--tensor-parallel-size",
                     "is more than TENSOR_PARALLEL_SIZE can say: leave that out in the container");
}

/* Where the flags end: at "--", or at the end. The engine's arguments begin behind it. */
static char **flag_words(char *const *words, char *const **rest)
{
    size_t n = 0;
    char **own;

    while (words[n] != NULL && strcmp(words[n], "--") != 0)
        n++;
    *rest = words[n] != NULL ? words + n + 1 : words + n;
    own = mem_array(NULL, n + 1, sizeof(*own));
    memcpy(own, words, n * sizeof(*own));
    own[n] = NULL;
    return own;
}

static void load(char *const *environ_list, const char *const *values, char *const *rest,
                 struct registration *r, struct problems *problems)
{
    size_t before = problems->errors;
    struct engine_wish wish;

    load_contract(environ_list, values, r, problems);
    load_own(values, r, problems);
    if (r->send != NULL)
        load_target(r, problems);
    wish = (struct engine_wish){.model = r->env.model_name ? r->env.model_name : "",
                                .tensor_parallel_size = r->env.tensor_parallel_size,
                                .size_given = given(environ_list, values, FLAG_SIZE)};
    engine_args_read(rest, &wish, &r->args, problems);
    typo_warn_contract(environ_list, problems);
    if (problems->errors != before)
        return;
    env_name_client(&r->env);
    warn(r, problems);
}

int registration_load(char *const *environ_list, char *const *words, struct registration *out,
                      const char **stray, struct problems *problems)
{
    const char *values[FLAGS] = {NULL};
    size_t before = problems->errors;
    char *const *rest;
    char **own = flag_words(words, &rest);

    memset(out, 0, sizeof(*out));
    *stray = env_flags_read(flags, FLAGS, own, values);
    if (*stray == NULL)
        load(environ_list, values, rest, out, problems);
    mem_free(own);
    if (*stray == NULL && problems->errors == before)
        return 0;
    registration_free(out);
    return ERR_SYNTAX;
}

void registration_free(struct registration *r)
{
    env_free(&r->env);
    mem_free(r->host);
    mem_free(r->send);
    mem_free(r->to.host);
    engine_args_free(&r->args);
    memset(r, 0, sizeof(*r));
}

/* ---- help ------------------------------------------------------------------------------------ */

/* As the contract has it, but for the model: what a container does with it says nothing here. */
static void help_contract(size_t flag, FILE *out, bool colour)
{
    struct field f = *env_field(flags[flag].variable);

    if (flag == FLAG_MODEL) {
        f.fallback = NULL;
        f.help = "The model that the node is registered with, as the API node's list of models "
                 "(/v1/governance/models) spells it. Required.";
    }
    env_flag_help(&flags[flag], &f, out, colour);
}

void registration_help(FILE *out, bool colour)
{
    fputs(
        "usage: mlgate register [FLAGS] [-- ARGUMENT...]\n\n"
        "Prints the node as the API node's admin interface takes it, and behind it, in lines that\n"
        "begin with '#', the command with which the operator of the network node registers it.\n"
        "Words behind -- are further arguments of vLLM. Sends nothing without --send.\n\n"
        "Status: 0 printed, and with --send accepted; 2 flags or variables that cannot be used;\n"
        "1 not sent, or not accepted.\n\n",
        out);
    for (size_t i = 0; i < OWN_FLAGS; i++)
        help_contract(i, out, colour);
    for (size_t i = OWN_FLAGS; i < FLAG_JSON; i++)
        env_flag_help(&flags[i], &own_fields[i - OWN_FLAGS], out, colour);
    fputs("--json\n    Print the node alone, in one line: for programs.\n\n"
          "-h, --help\n    This text.\n",
          out);
}
