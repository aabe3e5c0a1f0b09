/* Which devices there are, and having them opened. SPDX-License-Identifier: BSD-2-Clause */
#include "mapid/devices.h"

#include "mapid/link.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { ANY_ID = 1 << 30, INTERFACES_MAX = 65536, NAMES_MAX = 4096, CONFIGURE_WAIT_S = 2 };

/** A name has one number for good, so that what a client has learnt stays true over a reload. */
struct known {
        int id;
        char name[MAPI_STR_LENGTH];
};

struct devices {
        pthread_mutex_t lock;
        pthread_cond_t configured;
        unsigned configurations; /* how many there have been */
        devices_ask ask;
        void *context;
        const struct config *config;
        uint32_t devgroup;
        struct known *known;
        unsigned nknown;
};

struct devices *devices_new(devices_ask ask, void *context)
{
        struct devices *d = calloc(1, sizeof *d);

        if (d == NULL)
                return NULL;
        (void)pthread_mutex_init(&d->lock, NULL);
        (void)pthread_cond_init(&d->configured, NULL);
        d->ask = ask;
        d->context = context;
        d->devgroup = CONFIG_DEVGROUP_NONE;
        return d;
}

void devices_free(struct devices **pd)
{
        struct devices *d = *pd;

        *pd = NULL;
        if (d == NULL)
                return;
        free(d->known);
        (void)pthread_cond_destroy(&d->configured);
        (void)pthread_mutex_destroy(&d->lock);
        free(d);
}

/** Under the lock. 0: no memory for another name. */
static int number_of(struct devices *d, const char *name)
{
        struct known *more;

        for (unsigned i = 0; i < d->nknown; i++)
                if (strcmp(d->known[i].name, name) == 0)
                        return d->known[i].id;
        if (d->nknown == NAMES_MAX)
                return 0;
        more = realloc(d->known, (d->nknown + 1) * sizeof *more);
        if (more == NULL)
                return 0;
        d->known = more;
        more[d->nknown].id = (int)d->nknown + 1;
        (void)snprintf(more[d->nknown].name, sizeof more[d->nknown].name, "%s", name);
        return more[d->nknown++].id;
}

/** A device that may be used: known to us, and of the wanted group. */
static bool offered(const struct devices *d, const struct config_driver *e)
{
        return e->driver != NULL && host_driver(e->driver) != NULL &&
               (d->devgroup == CONFIG_DEVGROUP_NONE || e->devgroup == d->devgroup);
}

static bool open_to_all(const struct devices *d)
{
        return d->config == NULL || d->config->ndrivers == 0;
}

void devices_configure(struct devices *d, const struct config *c, uint32_t devgroup)
{
        (void)pthread_mutex_lock(&d->lock);
        d->config = c;
        d->devgroup = devgroup;
        for (size_t i = 0; i < c->ndrivers; i++)
                if (offered(d, &c->drivers[i]))
                        (void)number_of(d, c->drivers[i].device);
        d->configurations++;
        (void)pthread_cond_broadcast(&d->configured);
        (void)pthread_mutex_unlock(&d->lock);
}

unsigned devices_count(struct devices *d)
{
        unsigned n = 0;

        (void)pthread_mutex_lock(&d->lock);
        for (size_t i = 0; !open_to_all(d) && i < d->config->ndrivers; i++)
                n += offered(d, &d->config->drivers[i]);
        (void)pthread_mutex_unlock(&d->lock);
        return n;
}

static void describe(struct devices *d, const struct config_driver *e, struct host_live *ret)
{
        *ret = (struct host_live){ .id = number_of(d, e->device),
                                   .link_speed_mbit = e->link_speed,
                                   .mpls = (int)e->mpls,
                                   .vlan = (int)e->vlan };
        (void)snprintf(ret->device, sizeof ret->device, "%s", e->device);
        (void)snprintf(ret->driver, sizeof ret->driver, "%s", e->driver_file != NULL ? e->driver_file : e->driver);
        (void)snprintf(ret->alias, sizeof ret->alias, "%s", e->alias != NULL ? e->alias : "");
        (void)snprintf(ret->description, sizeof ret->description, "%s",
                       e->description != NULL ? e->description : "");
}

static void describe_interface(int id, const char *name, struct host_live *ret)
{
        *ret = (struct host_live){ .id = id };
        (void)snprintf(ret->device, sizeof ret->device, "%s", name);
        (void)snprintf(ret->driver, sizeof ret->driver, "afpacket");
        (void)snprintf(ret->description, sizeof ret->description, "%s",
                       id == ANY_ID ? "all interfaces" : "network interface");
}

/** The machine's interfaces from the opener, mapped; *ret_n of them. NULL: there are none to be had. */
static struct link_interface *interfaces(struct devices *d, size_t *ret_n)
{
        struct link_message m = { .kind = LINK_LIST };
        struct link_interface *list;
        struct mapi_error err;
        int fd[MAPI_SOURCE_FDS];
        unsigned nfds = 0;

        if (d->ask(d->context, &m, fd, &nfds, &err) < 0 || nfds != 1)
                return NULL;
        *ret_n = m.number < 0 || m.number > INTERFACES_MAX ? 0 : (size_t)m.number;
        list = *ret_n == 0 ? MAP_FAILED : mmap(NULL, *ret_n * sizeof *list, PROT_READ, MAP_SHARED, fd[0], 0);
        (void)close(fd[0]);
        return list == MAP_FAILED ? NULL : list;
}

static int find_interface(struct devices *d, const char *name, int id, bool next, struct host_live *ret)
{
        const struct link_interface *best = NULL;
        size_t n = 0;
        struct link_interface *list = interfaces(d, &n);
        int r = -1;

        for (size_t i = 0; list != NULL && i < n; i++) {
                const struct link_interface *e = &list[i];

                if (name != NULL ? strcmp(e->name, name) == 0
                    : next       ? e->index > id && (best == NULL || e->index < best->index)
                                 : e->index == id)
                        best = e;
        }
        if (best != NULL) {
                describe_interface(best->index, best->name, ret);
                r = 0;
        } else if (name != NULL ? strcmp(name, "any") == 0 : next ? id < ANY_ID : id == ANY_ID) {
                describe_interface(ANY_ID, "any", ret);
                r = 0;
        }
        if (list != NULL)
                (void)munmap(list, n * sizeof *list);
        return r;
}

int devices_find(void *context, const char *name, struct host_live *ret, struct mapi_error *err)
{
        struct devices *d = context;
        const struct config_driver *e;
        bool all;
        int r = -1;

        (void)pthread_mutex_lock(&d->lock);
        all = open_to_all(d);
        e = all ? NULL : config_find_driver(d->config, name);
        if (e != NULL && offered(d, e)) {
                describe(d, e, ret);
                r = 0;
        }
        (void)pthread_mutex_unlock(&d->lock);
        if (all && strlen(name) < IF_NAMESIZE)
                r = find_interface(d, name, 0, false, ret);
        return r == 0 ? 0 : mapi_fail(err, MAPID_NO_DRIVER, "'%.200s' is no device of this mapid", name);
}

bool devices_offers(void *context, const char *device)
{
        struct devices *d = context;
        const struct config_driver *e;
        bool offers;

        (void)pthread_mutex_lock(&d->lock);
        e = open_to_all(d) ? NULL : config_find_driver(d->config, device);
        offers = open_to_all(d) || (e != NULL && offered(d, e));
        (void)pthread_mutex_unlock(&d->lock);
        return offers;
}

int devices_list(void *context, int id, bool next, struct host_live *ret, struct mapi_error *err)
{
        struct devices *d = context;
        const struct config_driver *best = NULL;
        int best_id = 0;
        bool all;

        (void)pthread_mutex_lock(&d->lock);
        all = open_to_all(d);
        for (size_t i = 0; !all && i < d->config->ndrivers; i++) {
                const struct config_driver *e = &d->config->drivers[i];
                int n = offered(d, e) ? number_of(d, e->device) : 0;

                if (n > 0 && (next ? n > id && (best == NULL || n < best_id) : n == id)) {
                        best = e;
                        best_id = n;
                }
        }
        if (best != NULL)
                describe(d, best, ret);
        (void)pthread_mutex_unlock(&d->lock);
        if (best != NULL || (all && find_interface(d, NULL, id, next, ret) == 0))
                return 0;
        return mapi_fail(err, MAPI_DEVICE_INFO_ERR, "%d", id);
}

/** Waits for another configuration than that one. Returns false if none comes. */
static bool wait_configured(struct devices *d, unsigned seen)
{
        struct timespec until;
        bool came;

        (void)clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += CONFIGURE_WAIT_S;
        (void)pthread_mutex_lock(&d->lock);
        while (d->configurations == seen && pthread_cond_timedwait(&d->configured, &d->lock, &until) != ETIMEDOUT)
                ;
        came = d->configurations != seen;
        (void)pthread_mutex_unlock(&d->lock);
        return came;
}

/** By the configuration of this moment, *ret_seen. */
static int open_once(struct devices *d, const char *device, struct capture *ret, unsigned *ret_seen,
                     struct mapi_error *err)
{
        struct link_message m = { .kind = LINK_OPEN_DEVICE };
        struct mapi_source src = { .fd = -1 };
        char driver[64] = "afpacket", *options = NULL;
        int fd[MAPI_SOURCE_FDS], r;
        const struct config_driver *e;
        unsigned nfds = 0;
        bool gone;

        (void)pthread_mutex_lock(&d->lock);
        *ret_seen = d->configurations;
        e = open_to_all(d) ? NULL : config_find_driver(d->config, device);
        gone = !open_to_all(d) && (e == NULL || !offered(d, e));
        if (e != NULL && !gone) {
                m.number = (int)(e - d->config->drivers) + 1;
                (void)snprintf(driver, sizeof driver, "%s", e->driver);
                options = strdup(e->options);
        }
        (void)pthread_mutex_unlock(&d->lock);
        if (gone)
                return mapi_fail(err, MAPID_NO_DRIVER, "'%.200s' is no device of this mapid any more", device);
        (void)snprintf(m.name, sizeof m.name, "%s", device);
        r = d->ask(d->context, &m, fd, &nfds, err);
        if (r == 0) {
                src.name = device;
                src.options = options == NULL || options[0] == '\0' ? NULL : options;
                src.fd = nfds > 0 ? fd[0] : -1;
                src.more = nfds > 1 ? &fd[1] : NULL;
                src.nmore = nfds > 1 ? nfds - 1 : 0;
                r = host_open_source(driver, &src, ret, err);
        }
        free(options);
        return r;
}

int devices_open(void *context, const struct host_live *live, struct capture *ret, struct mapi_error *err)
{
        struct devices *d = context;
        unsigned seen;
        int r;

        /* The opener reads a new configuration first: what it does not understand may be answered by the next one, which is
           on its way to us. */
        do
                r = open_once(d, live->device, ret, &seen, err);
        while (r == -MAPI_CONFIG_ERROR && wait_configured(d, seen));
        return r;
}
