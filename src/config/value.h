/* Strict readers of single values. Each takes the whole text, accepts no blanks around it, writes
 * its result only when it returns true, and changes nothing otherwise. */
#ifndef CONFIG_VALUE_H
#define CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/client_config.h"
#include "config/server_config.h"

enum {
    VALUE_PATH_MAX = 4095,  /* Linux PATH_MAX without the terminator */
    VALUE_HOST_MAX = 253,   /* RFC 1035, in text form without the root dot */
    VALUE_RANGES_MAX = 256, /* entries of one port list */
    VALUE_PIN_CHARS = 44,   /* base64 of 32 bytes */
};

/* Decimal, no leading zero ("0" itself is fine), an optional minus sign. */
bool value_int(const char *text, int64_t min, int64_t max, int64_t *out);
/* 1 to 65535, no leading zero. */
bool value_port(const char *text, uint16_t *out);
/* A DNS name (letters, digits, '-', '_', dots; RFC 1123 lengths), an IPv4 address or an IPv6
 * address without brackets. A name of digits and dots must be an IPv4 address. */
bool value_host(const char *text);
bool value_is_ip(const char *text);
/* "name:port", "1.2.3.4:port" or "[v6]:port". *out owns its host afterwards. */
bool value_host_port(const char *text, struct server_addr *out);
/* The same with an IP address only, or ":port" for every address of the machine ("0.0.0.0"). */
bool value_listen(const char *text, struct server_addr *out);
/* An IP address, a CIDR such as 10.0.0.0/8, or an interface name as the kernel takes it. */
bool value_bind_scope(const char *text);
/* true, 1, yes, on / false, 0, no, off / empty; any case. */
bool value_yes_no(const char *text, bool *out);
/* The words frp's INI library takes, which are more than those of Go's ParseBool: also yes, no, y,
 * n, on, off, in the spellings it lists. */
bool value_ini_bool(const char *text, bool *out);
/* "2000-3000,3001": blanks around numbers are allowed as frp allows them. *out is the caller's. */
bool value_port_ranges(const char *text, struct port_range **out, size_t *count);
/* Starts with '/', no control characters, at most VALUE_PATH_MAX bytes. */
bool value_abs_path(const char *text);
/* Bytes, or a number with K, M, G (or KiB, MiB, GiB; any case): powers of 1024. */
bool value_size(const char *text, uint64_t min, uint64_t max, uint64_t *out);
/* Base64 of a SHA-256, padding included, and nothing left over in its last bits. */
bool value_pin(const char *text);
/* Not empty, no control characters, not blanks only, at most `max` bytes. */
bool value_word(const char *text, size_t max);
/* No bytes below 0x20 and no 0x7f. */
bool value_is_printable(const char *text);

/* Walks a comma list: the next item without blanks around it as a new string (the caller's), or
 * NULL at the end. *at starts at the text and is moved. Empty items are returned as "". */
char *value_next_item(const char **at);

#endif
