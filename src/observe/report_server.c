#include "observe/report_server.h"

#include "base/human.h"

enum { LISTED = 5 /* of each list: the latest tell what goes on */ };

static void numbers(struct report *r, const json_t *d)
{
    char in[HUMAN_MAX];
    char out[HUMAN_MAX];
    char text[STRING_ROOM];

    line_add(r, "%s", string(d, "bind", text));
    line_count(r, json_array_size(member(d, "clients")), "client");
    line_item(r, "%s without a login yet", human_count(in, number(d, "openings")));
    line_end(r, LINE_PLAIN, "server");
    line_count(r, number(d, "users"), "user");
    line_item(r, "in %s/s", human_bytes(in, number(d, "rate_in")));
    line_item(r, "out %s/s", human_bytes(out, number(d, "rate_out")));
    line_end(r, LINE_PLAIN, "  now");
    line_count(r, number(d, "all_users"), "user");
    line_item(r, "in %s", human_bytes(in, number(d, "bytes_in")));
    line_item(r, "out %s", human_bytes(out, number(d, "bytes_out")));
    line_count(r, number(d, "logins"), "login");
    line_end(r, LINE_PLAIN, "  total");
}

static void port_line(struct report *r, const json_t *p, const char *label)
{
    char in[HUMAN_MAX];
    char out[HUMAN_MAX];
    char text[STRING_ROOM];

    line_add(r, "%u %s: ", (unsigned)number(p, "remote"), string(p, "name", text));
    line_add(r, "%s now", human_count(in, number(p, "users")));
    line_item(r, "in %s", human_bytes(in, number(p, "bytes_in")));
    line_item(r, "out %s", human_bytes(out, number(p, "bytes_out")));
    line_end(r, LINE_PLAIN, label);
}

static void client(struct report *r, const json_t *c)
{
    char text[STRING_ROOM];
    char words[HUMAN_MAX];
    size_t i;
    json_t *p;

    if (says(c, "hostname"))
        line_add(r, "%s from ", string(c, "hostname", text));
    line_add(r, "%s", string(c, "address", text));
    line_add(r, " for %s", human_age(words, number(c, "since_s")));
    line_item(r, "%s", string(c, "program", text));
    line_item(r, "run id %s...", string(c, "run_id", text));
    if (has(c, "round_trip_ms"))
        line_item(r, "round trip %s", human_ms(words, real(c, "round_trip_ms")));
    line_end(r, LINE_PLAIN, "client");
    json_array_foreach (member(c, "ports"), i, p)
        port_line(r, p, i == 0 ? "  ports" : "");
}

static void refused(struct report *r, const json_t *d, const char *list, const char *label)
{
    size_t i;
    json_t *login;

    json_array_foreach (member(d, list), i, login) {
        char text[STRING_ROOM];
        char age[HUMAN_MAX];

        if (i == LISTED)
            break;
        line_add(r, "%s ago", human_age(age, number(login, "ago_s")));
        line_add(r, " from %s", string(login, "from", text));
        line_add(r, ": %s", string(login, "text", text));
        line_end(r, LINE_PLAIN, i == 0 ? label : "");
    }
}

void report_server(struct report *r, const json_t *d)
{
    size_t i;
    json_t *c;

    if (!json_is_array(member(d, "clients")))
        return;
    numbers(r, d);
    refused(r, d, "refused_logins", "refused");
    refused(r, d, "refused_proxies", "ports");
    refused(r, d, "ended_openings", "no login");
    json_array_foreach (member(d, "clients"), i, c)
        client(r, c);
}
