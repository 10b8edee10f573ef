/* One setting: how it is called, what it may be, where its value goes. Tables of these are the
 * environment contract, the INI keys and the server's flags; help, man page and tests walk them. */
#ifndef CONFIG_FIELD_H
#define CONFIG_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct problems;

enum field_kind {
    FIELD_TEXT = 0,   /* char *: not empty, no control characters, at most max bytes */
    FIELD_NAME,       /* char *: the same, and UTF-8, because it goes into JSON */
    FIELD_PATH,       /* char *: absolute */
    FIELD_FILE,       /* char *: absolute or relative, as frp takes it */
    FIELD_HOST,       /* char *: DNS name or address */
    FIELD_IP,         /* char *: address */
    FIELD_SCOPE,      /* char *: address, CIDR or interface */
    FIELD_ADDR,       /* struct server_addr */
    FIELD_ADDR_LIST,  /* struct server_addr *, with count_offset */
    FIELD_LISTEN,     /* char * at offset, uint16_t at count_offset */
    FIELD_PAGE,       /* the same; a port alone is on 127.0.0.1, and "off" is NULL */
    FIELD_PORT,       /* uint16_t, 1 to 65535 */
    FIELD_PORT_OR_0,  /* uint16_t */
    FIELD_INT,        /* int in min..max */
    FIELD_SIZE,       /* size_t in min..max, with units */
    FIELD_YES_NO,     /* bool, the environment's words */
    FIELD_BOOL,       /* bool, frp's words */
    FIELD_NOT_BOOL,   /* bool, the opposite of frp's word */
    FIELD_BIT,        /* unsigned: bit `min`, frp's words */
    FIELD_LEVEL,      /* enum log_level */
    FIELD_PORTS,      /* struct port_range *, with count_offset */
    FIELD_PINS,       /* char **, with count_offset */
    FIELD_TOKEN,      /* char *: see token.h */
    FIELD_TOKEN_FILE, /* char *: the token in the named file */
    FIELD_ANY,        /* char *: anything up to max bytes, as it stands */
    FIELD_CLIENT_ID,  /* char[5] */
    FIELD_CHOICE,     /* int: which of the words of `choices` */
    FIELD_PORT_SPAN, /* uint16_t at offset and at count_offset: first and last, at most max ports */
};

struct field {
    const char *name; /* variable, INI key or flag, as it stands in messages */
    enum field_kind kind;
    size_t offset; /* of the member in the structure that is filled */
    size_t count_offset;
    int64_t min;
    int64_t max;
    bool required;
    bool secret;          /* no value of it is ever shown */
    bool zero_unset;      /* frp: 0 means that the key was not given */
    const char *fallback; /* the default in the field's own words; NULL: none */
    const char *choices;  /* FIELD_CHOICE: "one|two" */
    const char *rule;     /* NULL: the kind's own */
    const char *example;
    const char *help;
};

/* Lists (servers, pins) longer than this are a mistake. */
enum { FIELD_LIST_MAX = 16 };

/* Puts what `text` says into `base`, releasing what a former call put there. Otherwise the problem
 * is added under `where`, and `base` stays as it is. */
bool field_set(const struct field *field, void *base, const char *text, const char *where,
               struct problems *problems);

/* The rule in words, for help and messages. Static. */
const char *field_rule(const struct field *field);

#endif
