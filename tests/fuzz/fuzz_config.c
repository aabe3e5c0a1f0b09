/* mapi.conf: any text. What is accepted keeps the promises of config.h, and its own facts written down anew read the
 * same. SPDX-License-Identifier: BSD-2-Clause */
#include "config/config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(int truth)
{
        if (!truth)
                abort();
}

static int same(const char *a, const char *b)
{
        return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* Options are handed to a driver: key=value, parts at semicolons, no key without value. */
static void check_options(const char *options)
{
        for (const char *part = options, *end; *part != '\0'; part = *end == ';' ? end + 1 : end) {
                const char *equals = strchr(part, '=');

                end = part + strcspn(part, ";");
                must(equals != NULL && equals > part && equals + 1 < end);
                must(*end == '\0' || end[1] != '\0');
        }
}

static void check_list(const struct config_list *list)
{
        for (size_t i = 0; i < list->n; i++)
                must(list->item[i][0] != '\0' && strchr(list->item[i], ':') == NULL);
}

static void check(const struct config *c)
{
        check_list(&c->libpath);
        check_list(&c->drvpath);
        check_list(&c->libs);
        must(c->log_level <= 2 && c->local <= 1);
        must(c->dimapi_port >= 1 && c->dimapi_port <= 65535);
        must(c->max_sessions >= 1 && c->max_sessions <= 65536);
        must(c->max_flows >= 1 && c->max_flows <= 65536);
        must(c->max_devices >= 1 && c->max_devices <= 4096);
        must(c->max_memory_bytes >= 1 << 20 && c->max_memory_bytes <= (uint64_t)1 << 40);
        must(c->group[0] != '\0' && c->user[0] != '\0');
        must(c->logfile == NULL || c->logfile[0] != '\0');
        must(c->socket == NULL || (c->socket[0] == '/' && strlen(c->socket) <= 107));
        must(c->ndrivers <= CONFIG_DEVICES_MAX && c->ndag <= 256 && c->nipfixflib <= 256 && c->nwarnings <= 101);
        for (size_t i = 0; i < c->ndrivers; i++) {
                const struct config_driver *d = &c->drivers[i];

                must(d->device[0] != '\0' && config_find_driver(c, d->device) == d);
                must(d->alias == NULL || config_find_driver(c, d->alias) == d);
                must(d->mpls <= 1 && d->vlan <= 1 && (d->devgroup <= INT32_MAX || d->devgroup == UINT32_MAX));
                must(d->line >= 1 && d->options != NULL);
                must(d->driver == NULL || strcmp(d->driver, "afpacket") == 0 || strcmp(d->driver, "replay") == 0 ||
                     strcmp(d->driver, "null") == 0);
                check_options(d->options);
        }
        for (size_t i = 0; i < c->nwarnings; i++)
                must(c->warnings[i].line >= 1 && strlen(c->warnings[i].text) > 10);
}

/* Writes the facts down as another file. */
static char *write_down(const struct config *c, size_t *ret_len)
{
        char *text = NULL;
        FILE *f = open_memstream(&text, ret_len);

        must(f != NULL);
        fprintf(f, "log_level=%u\nlocal=%u\ndimapi_port=%u\nmax_sessions=%u\nmax_flows=%u\nmax_devices=%u\n",
                c->log_level, c->local, c->dimapi_port, c->max_sessions, c->max_flows, c->max_devices);
        fprintf(f, "max_memory=%llu\ngroup=%s\nuser=%s\nlogfile=%s\n", (unsigned long long)c->max_memory_bytes,
                c->group, c->user, c->logfile != NULL ? c->logfile : "");
        if (c->socket != NULL)
                fprintf(f, "socket=%s\n", c->socket);
        for (size_t i = 0; i < c->ndrivers; i++) {
                const struct config_driver *d = &c->drivers[i];

                fprintf(f, "[driver]\ndevice=%s\nalias=%s\nlink_speed=%u\nvlan=%u\ndriver=%s\n", d->device,
                        d->alias != NULL ? d->alias : "", d->link_speed, d->vlan,
                        d->driver != NULL ? d->driver : "nobody's");
                for (const char *part = d->options, *end; *part != '\0'; part = *end == ';' ? end + 1 : end) {
                        end = part + strcspn(part, ";");
                        fprintf(f, "%.*s\n", (int)(end - part), part);
                }
        }
        must(fclose(f) == 0);
        return text;
}

static void check_again(const struct config *a)
{
        struct config *b = NULL;
        struct mapi_error err;
        size_t len;
        char *text = write_down(a, &len);

        if (config_parse(text, len, NULL, &b, &err) != 0) {
                /* Trimming may have joined what makes a line too long; nothing else may go wrong. */
                must(strstr(err.text, "the line has more than 1023 bytes") != NULL);
                free(text);
                return;
        }
        must(a->log_level == b->log_level && a->local == b->local && a->dimapi_port == b->dimapi_port);
        must(a->max_memory_bytes == b->max_memory_bytes && a->max_flows == b->max_flows);
        must(same(a->group, b->group) && same(a->user, b->user) && same(a->logfile, b->logfile));
        must(same(a->socket, b->socket) && a->ndrivers == b->ndrivers);
        for (size_t i = 0; i < a->ndrivers; i++) {
                must(same(a->drivers[i].device, b->drivers[i].device) &&
                     same(a->drivers[i].alias, b->drivers[i].alias));
                must(same(a->drivers[i].driver, b->drivers[i].driver));
                must(same(a->drivers[i].options, b->drivers[i].options));
                must(a->drivers[i].link_speed == b->drivers[i].link_speed &&
                     a->drivers[i].vlan == b->drivers[i].vlan);
        }
        config_free(&b);
        free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct config *c = NULL;
        struct mapi_error err = { 0 };
        int r = config_parse((const char *)data, size, "f", &c, &err);

        if (r != 0) {
                must(r == -MAPI_CONFIG_ERROR && err.code == MAPI_CONFIG_ERROR && c == NULL);
                must(strncmp(err.text, "the configuration is wrong: f:", 30) == 0);
                return 0;
        }
        check(c);
        check_again(c);
        config_free(&c);
        must(c == NULL);
        return 0;
}
