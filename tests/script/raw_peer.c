#include "raw_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum {
    HEADER = 12,
    HEAD = 9,
    FIRST_WINDOW = 256 * 1024,
    FRAME_MAX = 64 * 1024,
};

enum frame_type {
    DATA = 0,
    WINDOW = 1,
    PING = 2,
    GO_AWAY = 3,
};

enum frame_flag {
    SYN = 1,
    ACK = 2,
    FIN = 4,
    RST = 8,
};

static const struct {
    char type;
    const char *name;
} messages[] = {
    {'o', "Login"},          {'1', "LoginResp"},   {'p', "NewProxy"},    {'2', "NewProxyResp"},
    {'c', "CloseProxy"},     {'w', "NewWorkConn"}, {'r', "ReqWorkConn"}, {'s', "StartWorkConn"},
    {'v', "NewVisitorConn"}, {'h', "Ping"},        {'4', "Pong"},
};

static const char *message_name(uint8_t type)
{
    for (size_t i = 0; i < sizeof(messages) / sizeof(messages[0]); i++)
        if (messages[i].type == (char)type)
            return messages[i].name;
    return NULL;
}

/* PBKDF2-HMAC-SHA1(token, "frp", 64 rounds) of "abc" and of "", from the protocol text. */
static const uint8_t *control_key(const char *token)
{
    static const uint8_t of_abc[] = {0x62, 0xe5, 0xed, 0x67, 0xfd, 0xd0, 0x4e, 0x5f,
                                     0x1f, 0x71, 0xd7, 0x79, 0xce, 0xb9, 0x66, 0x7f};
    static const uint8_t of_nothing[] = {0xcd, 0xc9, 0xdc, 0x4c, 0x47, 0x2c, 0x37, 0x33,
                                         0x12, 0x81, 0xdf, 0x4c, 0x23, 0x2a, 0x84, 0x07};

    return *token ? of_abc : of_nothing;
}

size_t raw_from_hex(uint8_t *out, const char *hex)
{
    size_t len = strlen(hex) / 2;

    for (size_t i = 0; i < len; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return len;
}

const char *raw_privilege_key(char out[RAW_KEY_SIZE], int64_t timestamp)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    char text[32];

    snprintf(text, sizeof(text), "abc%lld", (long long)timestamp);
    EVP_Digest(text, strlen(text), digest, NULL, EVP_md5(), NULL);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return out;
}

static struct raw_stream *stream_of(struct raw *r, uint32_t id)
{
    struct raw_stream *s;

    for (size_t i = 0; i < r->n_streams; i++)
        if (r->streams[i]->id == id)
            return r->streams[i];
    s = mem_zalloc(sizeof(*s));
    s->id = id;
    s->window = FIRST_WINDOW;
    r->streams = mem_array(r->streams, r->n_streams + 1, sizeof(struct raw_stream *));
    r->streams[r->n_streams++] = s;
    return s;
}

/* ---- speaking ------------------------------------------------------------------------------- */

static void put32(uint8_t *out, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_frame(struct raw *r, enum frame_type type, unsigned flags, uint32_t id,
                      uint32_t length)
{
    uint8_t header[HEADER] = {0, (uint8_t)type, 0, (uint8_t)flags};

    put32(header + 4, id);
    put32(header + 8, length);
    script_send(r->t, r->plays == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, header, HEADER);
}

static void put_payload(struct raw *r, uint32_t id, const uint8_t *data, size_t len)
{
    put_frame(r, DATA, 0, id, (uint32_t)len);
    script_send(r->t, r->plays == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, data, len);
}

static void grant(struct raw *r, unsigned flags, uint32_t id, uint32_t delta)
{
    stream_of(r, id)->window += delta;
    put_frame(r, WINDOW, flags, id, delta);
}

void raw_open(struct raw *r, uint32_t id)
{
    grant(r, SYN, id, r->no_grant ? 0 : RAW_GRANT);
}

void raw_ack(struct raw *r, uint32_t id)
{
    grant(r, ACK, id, r->no_grant ? 0 : RAW_GRANT);
}

void raw_grant(struct raw *r, uint32_t id, uint32_t delta)
{
    grant(r, 0, id, delta);
}

void raw_fin(struct raw *r, uint32_t id)
{
    put_frame(r, WINDOW, FIN, id, 0);
}

void raw_rst(struct raw *r, uint32_t id)
{
    put_frame(r, WINDOW, RST, id, 0);
}

void raw_ping(struct raw *r, uint32_t id)
{
    put_frame(r, PING, SYN, 0, id);
}

void raw_go_away(struct raw *r, uint32_t code)
{
    put_frame(r, GO_AWAY, 0, 0, code);
}

static EVP_CIPHER_CTX *cipher(const struct raw *r, const uint8_t iv[16], int encrypt)
{
    const char *token = r->plays == SIDE_CLIENT ? r->t->server_cfg.token : r->t->client_cfg.token;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();

    EVP_CipherInit_ex(c, EVP_aes_128_cfb128(), NULL, control_key(token), iv, encrypt);
    return c;
}

static void encipher_out(struct raw *r, struct raw_stream *s)
{
    static const uint8_t iv[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

    if (s->out == NULL)
        s->out = cipher(r, iv, 1);
}

/* Remembers that deciphering begins; the key is set when the IV has come. */
static void encipher_in(struct raw_stream *s)
{
    if (s->in == NULL)
        s->in = EVP_CIPHER_CTX_new();
}

void raw_encipher(struct raw *r, uint32_t id)
{
    encipher_in(stream_of(r, id));
    encipher_out(r, stream_of(r, id));
}

void raw_bytes(struct raw *r, uint32_t id, const void *data, size_t len)
{
    struct raw_stream *s = stream_of(r, id);
    uint8_t *copy = mem_alloc(len + sizeof(s->iv));
    size_t iv = 0;
    int done = 0;

    if (s->out != NULL && !s->iv_sent) {
        s->iv_sent = true;
        iv = sizeof(s->iv);
        for (size_t i = 0; i < iv; i++)
            copy[i] = (uint8_t)i;
    }
    if (s->out != NULL)
        EVP_CipherUpdate(s->out, copy + iv, &done, data, (int)len);
    else
        memcpy(copy, data, len);
    put_payload(r, id, copy, iv + len);
    mem_free(copy);
}

size_t raw_message(uint8_t *out, char type, const char *json)
{
    size_t len = strlen(json);

    memset(out, 0, HEAD);
    out[0] = (uint8_t)type;
    put32(out + 5, (uint32_t)len);
    memcpy(out + HEAD, json, len);
    return HEAD + len;
}

void raw_say(struct raw *r, uint32_t id, char type, const char *json)
{
    uint8_t *out = mem_alloc(HEAD + strlen(json));

    raw_bytes(r, id, out, raw_message(out, type, json));
    mem_free(out);
    if (type == 'o')
        encipher_out(r, stream_of(r, id));
    if (type == '1' && strstr(json, "\"error\"") == NULL)
        raw_encipher(r, id);
    if (type == 's' && stream_of(r, id)->out == NULL)
        stream_of(r, id)->relay = true;
}

void raw_hex(struct raw *r, uint32_t id, const char *hex)
{
    uint8_t *data = mem_alloc(strlen(hex));

    put_payload(r, id, data, raw_from_hex(data, hex));
    mem_free(data);
}

void raw_wire(struct raw *r, const void *data, size_t len)
{
    r->blind = true;
    script_send(r->t, r->plays == SIDE_CLIENT ? SIDE_SERVER : SIDE_CLIENT, data, len);
}

/* ---- hearing -------------------------------------------------------------------------------- */

static void append(uint8_t **data, size_t *len, const uint8_t *more, size_t n)
{
    *data = mem_realloc(*data, *len + n);
    if (n > 0)
        memcpy(*data + *len, more, n);
    *len += n;
}

static void drop(uint8_t *data, size_t *len, size_t n)
{
    *len -= n;
    memmove(data, data + n, *len);
}

/* Deciphers in place; takes the IV off the front. Returns what is left. */
static size_t decipher(struct raw *r, struct raw_stream *s, uint8_t *data, size_t len)
{
    size_t iv = sizeof(s->iv) - s->iv_got;
    int done = 0;

    if (iv > len)
        iv = len;
    memcpy(s->iv + s->iv_got, data, iv);
    s->iv_got += (unsigned)iv;
    if (iv > 0 && s->iv_got == sizeof(s->iv)) {
        EVP_CIPHER_CTX_free(s->in);
        s->in = cipher(r, s->iv, 0);
    }
    drop(data, &len, iv);
    if (len > 0)
        EVP_CipherUpdate(s->in, data, &done, data, (int)len);
    return len;
}

static void switch_modes(struct raw *r, struct raw_stream *s, uint8_t type, const char *json)
{
    if (type == 's' && s->in == NULL)
        s->relay = true;
    if (type != '1' || strstr(json, "\"error\"") != NULL)
        return;
    encipher_in(s);
    s->len = decipher(r, s, s->data, s->len);
}

static void fail(struct raw *r, struct raw_stream *s)
{
    s->failed = true;
    script_note(r->t, "raw: s%u garbage", s->id);
}

static void hear_message(struct raw *r, struct raw_stream *s, uint8_t type, char *json)
{
    const char *name = message_name(type);

    if (name == NULL) {
        fail(r, s);
    } else if (type == (uint8_t)r->counted) {
        r->count++;
    } else {
        script_note(r->t, "raw: s%u %s %s", s->id, name, json);
    }
    switch_modes(r, s, type, json);
}

static bool next_message(struct raw *r, struct raw_stream *s)
{
    static const uint8_t high[4] = {0};
    uint8_t type = s->len > 0 ? s->data[0] : 0;
    size_t len = 0;
    char *json;

    if (s->len < HEAD)
        return false;
    for (int i = 5; i < HEAD; i++)
        len = len << 8 | s->data[i];
    if (memcmp(s->data + 1, high, sizeof(high)) != 0 || len > 10240 || len == 0) {
        fail(r, s);
        return false;
    }
    if (s->len < HEAD + len)
        return false;
    json = mem_strndup((const char *)s->data + HEAD, len);
    drop(s->data, &s->len, HEAD + len);
    hear_message(r, s, type, json);
    mem_free(json);
    return !s->failed;
}

static void hear_relay(struct raw *r, struct raw_stream *s)
{
    char who[24];

    snprintf(who, sizeof(who), "raw: s%u", s->id);
    if (s->len > 0)
        script_heard(r->t, who, s->data, s->len);
    s->len = 0;
}

static void hear_payload(struct raw *r, struct raw_stream *s, const uint8_t *data, size_t len)
{
    size_t before = s->len;

    s->window -= (int64_t)len;
    r->t->faults += s->window < 0 && !r->blind;
    append(&s->data, &s->len, data, len);
    if (s->in != NULL)
        s->len = before + decipher(r, s, s->data + before, len);
    while (!s->relay && !s->failed && next_message(r, s))
        ;
    if (s->relay)
        hear_relay(r, s);
}

static void hear_window(struct raw *r, unsigned flags, uint32_t id, uint32_t delta)
{
    static const char *const words[] = {" open", " ack", " fin", " rst"};
    char text[64] = "";
    size_t used = 0;

    for (unsigned i = 0; i < 4; i++)
        if (flags & (1u << i))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s", words[i]);
    if (delta != 0)
        used += (size_t)snprintf(text + used, sizeof(text) - used, " +%u", delta);
    if ((flags & SYN) && r->counted == 'w')
        text[0] = '\0'; /* it comes with each message that is counted */
    if (text[0] != '\0')
        script_note(r->t, "raw: s%u%s", id, text);
    if ((flags & SYN) && !r->no_ack)
        raw_ack(r, id);
}

static void hear_frame(struct raw *r, const uint8_t *frame, uint32_t id, uint32_t length)
{
    unsigned flags = frame[3];

    switch ((enum frame_type)frame[1]) {
    case DATA:
        if (flags != 0)
            hear_window(r, flags, id, 0);
        hear_payload(r, stream_of(r, id), frame + HEADER, length);
        break;
    case WINDOW:
        hear_window(r, flags, id, length);
        break;
    case PING:
        script_note(r->t, "raw: %s %u", flags & ACK ? "pong" : "ping", length);
        break;
    case GO_AWAY:
        script_note(r->t, "raw: go away %u", length);
        break;
    default:
        script_note(r->t, "raw: frame of type %u", frame[1]);
        break;
    }
}

static uint32_t get32(const uint8_t *in)
{
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

static void hears(void *ctx, const uint8_t *data, size_t len)
{
    struct raw *r = ctx;

    append(&r->data, &r->len, data, len);
    while (r->len >= HEADER) {
        uint32_t length = get32(r->data + 8);
        size_t size = HEADER + (r->data[1] == DATA ? length : 0);

        if (r->len < size)
            return;
        hear_frame(r, r->data, get32(r->data + 4), length);
        drop(r->data, &r->len, size);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

void raw_init(struct raw *r, struct script *t, enum script_side plays)
{
    *r = (struct raw){.t = t, .plays = plays};
    t->raw_hears = hears;
    t->raw_ctx = r;
}

void raw_free(struct raw *r)
{
    for (size_t i = 0; i < r->n_streams; i++) {
        EVP_CIPHER_CTX_free(r->streams[i]->in);
        EVP_CIPHER_CTX_free(r->streams[i]->out);
        mem_free(r->streams[i]->data);
        mem_free(r->streams[i]);
    }
    mem_free(r->streams);
    mem_free(r->data);
}
