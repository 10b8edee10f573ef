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

struct demo_report {
    const char *directory; /* NULL: gone when the demo ends */
    char client_id[5];
    uint16_t inference_port; /* 1{CLIENT_ID} on the server */
    uint16_t poc_port;       /* 2{CLIENT_ID} */
    uint16_t server_port;
    uint16_t node_inference_port;
    uint16_t node_management_port;
    int pid[CHILDREN];
    size_t resident[CHILDREN]; /* bytes */
    struct {
        size_t tokens;
        double first_ms;
        double rate;
        double longest_gap_ms;
    } stream;
    struct {
        size_t tokens;
        double ms;
    } whole;
    struct {
        unsigned rounds;
        double direct_us;
        double tunnel_us;
    } latency;
    uint64_t bytes_sent; /* by the user, at the server's remote port */
    uint64_t bytes_received;
};

/* `colour` allows terminal sequences. */
void report_places(const struct demo_report *r, bool colour, FILE *out);
void report_stream(const struct demo_report *r, bool colour, FILE *out);
void report_whole(const struct demo_report *r, const char *text, bool colour, FILE *out);
void report_summary(const struct demo_report *r, bool colour, FILE *out);
void report_json(const struct demo_report *r, FILE *out);

#endif
