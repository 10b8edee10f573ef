/* What `mlgate check` found: a list of findings, each with a stable id, a verdict, one sentence of
 * what was found and one of what to do. Judgements (judge_*.h) make them out of facts. */
#ifndef CHECK_FINDING_H
#define CHECK_FINDING_H

#include <stddef.h>

/* Every id with what it is about, in the order of the reports. The manual has the same table. */
#define CHECK_IDS(X)                                                                               \
    X(CONFIG, "config", "the variables, or the flags and the file of the server")                  \
    X(INSTANCE, "instance", "whether `mlgate run` is here and ready")                              \
    X(DNS, "dns", "the address of the FRP server")                                                 \
    X(TCP, "tcp", "whether a connection to the FRP server comes about")                            \
    X(TLS, "tls", "whether it speaks TLS, and which version")                                      \
    X(TLS_PIN, "tls.pin", "its public key against FRP_TLS_PIN, or the pin to set")                 \
    X(TLS_CA, "tls.ca", "its certificate against FRP_TLS_CA_FILE")                                 \
    X(TLS_EXPIRY, "tls.expiry", "how long its certificate is valid")                               \
    X(CLOCK_SERVER, "clock.server", "our clock against the FRP server's")                          \
    X(LOGIN, "login", "whether it takes our token, in a login that claims no port")                \
    X(ROUND_TRIP, "round_trip", "the time to the FRP server and back")                             \
    X(API_TCP, "api.tcp", "whether a connection to API_NODE comes about")                          \
    X(API_HTTP, "api.http", "whether it answers HTTP")                                             \
    X(CLOCK_API, "clock.api", "our clock against the API node's")                                  \
    X(MLNODE_MANAGEMENT, "mlnode.management", "who answers at MLNODE_MANAGEMENT")                  \
    X(MLNODE_INFERENCE, "mlnode.inference", "who answers at MLNODE_INFERENCE")                     \
    X(GATEWAY_LISTEN, "gateway.listen",                                                            \
      "whether the listeners of gateway and metrics are free or ours")                             \
    X(DISK_HF_HOME, "disk.hf_home", "HF_HOME: may be written, has room for the model")             \
    X(DISK_FRP_CONFIG_DIR, "disk.frp_config_dir", "FRP_CONFIG_DIR: may be written")                \
    X(DISK_LOG_DIR, "disk.log_dir", "LOG_DIR: may be written")                                     \
    X(SHM, "shm", "/dev/shm against TENSOR_PARALLEL_SIZE")                                         \
    X(GPU, "gpu", "the GPUs that are here against TENSOR_PARALLEL_SIZE")                           \
    X(OPEN_FILES, "open_files", "how many files and connections a process may have")               \
    X(PORTS_CLIENT_ID, "ports.client_id", "1{CLIENT_ID} and 2{CLIENT_ID} against known ports")     \
    X(PORTS_PUBLISHED, "ports.published", "ports that the platform says it publishes")             \
    X(PORTS_LISTENING, "ports.listening", "TCP listeners that are not on loopback")                \
    X(BIND_GUARD, "bind_guard", "whether the bind guard can be put in place")                      \
    X(SANDBOX, "sandbox", "what the worker can give up here")                                      \
    X(SERVER_BIND, "server.bind", "whether the server's own ports are free or held by a server")   \
    X(SERVER_PROXY_BIND, "server.proxy_bind", "whether strangers reach the clients' ports")        \
    X(SERVER_PORTS, "server.ports", "the ports that clients may claim against known ones")         \
    X(SERVER_TLS, "server.tls", "certificate and key of the server, and their expiry")             \
    X(SERVER_STATE_DIR, "server.state_dir", "where the server keeps the certificate it makes")     \
    X(TOKEN_FILE, "token.file", "who may read the token's file")                                   \
    X(TOKEN_STRENGTH, "token.strength", "how hard the token is to guess")                          \
    X(API_CALLBACK, "api.callback", "whether the API node's port 9100 answers here")               \
    X(API_ADMIN, "api.admin", "whether the API node's port 9200 answers here")                     \
    X(EXPOSED, "exposed", "ports of the network node that strangers must not reach")               \
    X(CLOCK_NTP, "clock.ntp", "whether the clock is kept by NTP")

enum check_id {
#define CHECK_ID(name, text, about) CHECK_##name,
    CHECK_IDS(CHECK_ID)
#undef CHECK_ID
        CHECK_ID_COUNT
};

const char *check_id_text(enum check_id id);
const char *check_id_about(enum check_id id);

enum verdict {
    VERDICT_OK = 0,
    VERDICT_WARN = 1, /* works, and could be safer or will not last */
    VERDICT_FAIL = 2, /* something does not work, or is open to strangers */
    VERDICT_SKIP = 3, /* could not be judged; the sentence says why */
    VERDICTS = 4
};

struct finding {
    enum check_id id;
    enum verdict verdict;
    char *subject; /* what of several it is about: a server, a variable, a port; NULL: none */
    char *found;
    char *remedy; /* NULL: nothing to do */
};

struct findings {
    struct finding *items;
    size_t count;
    size_t of[VERDICTS];
};

/* A zeroed list is empty. */
void findings_free(struct findings *list);

/* Adds one. All text is escaped (log_safe) and cut here, so that nothing a peer said reaches a
 * terminal as it came, and a subject with which the sentence begins once more is left out of it.
 * `subject` may be NULL. */
void finding_add(struct findings *list, enum check_id id, const char *subject, enum verdict verdict,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));
/* What to do about the one that was added last. */
void finding_remedy(struct findings *list, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Skipped, because `cause` failed. */
void finding_skip(struct findings *list, enum check_id id, const char *subject,
                  enum check_id cause);

/* 1 when something failed, else 0. */
int findings_status(const struct findings *list);

#endif
