/* What the demo found, as text for people or as one line of JSON. Plain data in, no measuring. */
#ifndef CLI_DEMO_REPORT_H
#define CLI_DEMO_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum demo_child {
    CHILD_TESTNODE = 0,
    CHILD_SERVER = 1,
    CHILD_CLIENT = 2,
    CHILDREN = 3,
};

extern const char *const demo_child_names[CHILDREN];

enum {
    DEMO_ENGINES = 2,
    DEMO_CALLS_MAX = 16,
    DEMO_CODE_SIZE = 32,
};

/* The two ports of a client on the server. */
enum demo_port {
    DEMO_INFERENCE = 0, /* 1{CLIENT_ID} */
    DEMO_POC = 1,       /* 2{CLIENT_ID} */
};

/* Where the gateway sent a request. */
enum demo_upstream {
    TO_NOWHERE = 0, /* it answered by itself */
    TO_MANAGEMENT = 1,
    TO_INFERENCE = 2,
    TO_ENGINE = 3,
    TO_PLACES = 4,
};

/* "to management" and so on. */
extern const char *const demo_upstream_names[TO_PLACES];

struct demo_call {
    const char *method; /* static, as the other two */
    const char *path;
    const char *what; /* what is wrong with the request; "" */
    uint16_t port;    /* that it came in on */
    unsigned status;
    bool refused;
    char code[DEMO_CODE_SIZE]; /* of an error; "" */
    enum demo_upstream to;
    uint16_t to_port; /* 0: nowhere */
};

/* One streamed answer as its reader saw it. */
struct demo_stream {
    size_t tokens;
    double first_ms;
    double rate;
    double longest_gap_ms;
    size_t glued; /* tokens that came in one read with the one before */
};

struct demo_report {
    const char *directory; /* NULL: gone when the demo ends */
    char client_id[5];
    uint16_t inference_port; /* 1{CLIENT_ID} on the server */
    uint16_t poc_port;       /* 2{CLIENT_ID} */
    uint16_t server_port;
    uint16_t gateway_port; /* the gateway's own listeners in the client */
    uint16_t gateway_poc_port;
    uint16_t node_inference_port;
    uint16_t node_management_port;
    uint16_t engine_port[DEMO_ENGINES];
    int pid[CHILDREN];
    size_t resident[CHILDREN]; /* bytes */
    struct demo_stream stream; /* through server, tunnel and gateway */
    struct demo_stream direct; /* the same at the same time, asked of an engine itself */
    struct demo_call calls[DEMO_CALLS_MAX];
    size_t n_calls;
    struct {
        size_t tokens;
        double ms;
    } whole;
    struct {
        unsigned rounds;
        double direct_us;
        double tunnel_us;
    } latency;
    uint64_t bytes_sent; /* by the user, at the server's remote ports */
    uint64_t bytes_received;
};

/* `colour` allows terminal sequences. */
void report_places(const struct demo_report *r, bool colour, FILE *out);
void report_stream(const struct demo_report *r, bool colour, FILE *out);
void report_whole(const struct demo_report *r, const char *text, bool colour, FILE *out);
void report_summary(const struct demo_report *r, bool colour, FILE *out);
/* demo_json.c */
void report_json(const struct demo_report *r, FILE *out);
/* The i-th command to go on with, for the caller to release with mem_free; NULL beyond the last. */
char *report_command(const struct demo_report *r, int i);

#endif
