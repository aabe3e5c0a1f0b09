/*
 * The driver of packets that nobody sent: a fixed sequence of valid TCP and UDP packets, for benches and tests.
 *
 * Packet i belongs to flow i modulo `flows`; even flows are TCP, odd ones UDP. Its frame is that of the flow, its
 * time i microseconds after 2024-01-01. Options: packets (0: without end), size (of the frame, bytes), flows.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapi/driver.h>

#include "drivers/options.h"
#include "drivers/table.h"

#define EPOCH 1704067200u /* seconds */
#define US_PER_SECOND 1000000u

#define ETHERNET_BYTES 14u
#define IP_BYTES 20u
#define TCP_BYTES 20u
#define UDP_BYTES 8u
#define FRAME_MIN 60u
#define FRAME_MAX (ETHERNET_BYTES + 65535u)
#define FLOWS_MAX 65536u
#define FRAMES_BYTES_MAX (64u << 20) /* of all flows together */

#define PROTO_TCP 6
#define PROTO_UDP 17

#define DLT_EN10MB 1

struct null {
        uint64_t packets; /* to be made, 0 for ever */
        uint64_t made;    /* read by other threads */
        uint32_t size;
        uint32_t flows;
        uint32_t flow;        /* of the next packet */
        uint32_t seconds, us; /* of the next packet */
        uint8_t *frames;      /* one of `size` bytes for each flow */
};

static void put16(uint8_t *p, unsigned v)
{
        p[0] = (uint8_t)(v >> 8);
        p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
        put16(p, v >> 16);
        put16(p + 2, v & 0xffff);
}

/* The Internet checksum, continued from `sum`. */
static uint32_t sum_words(uint32_t sum, const uint8_t *p, size_t n)
{
        for (; n >= 2; p += 2, n -= 2) {
                sum += (uint32_t)p[0] << 8 | p[1];
                sum = (sum & 0xffff) + (sum >> 16);
        }
        if (n != 0)
                sum += (uint32_t)p[0] << 8;
        return (sum & 0xffff) + (sum >> 16);
}

static uint16_t sum_finish(uint32_t sum)
{
        sum = (sum & 0xffff) + (sum >> 16);
        return (uint16_t)~sum;
}

static void make_frame(uint8_t *frame, uint32_t size, uint32_t flow)
{
        uint8_t *ip = frame + ETHERNET_BYTES, *l4 = ip + IP_BYTES, *payload;
        uint32_t l4_bytes = size - ETHERNET_BYTES - IP_BYTES, sum;
        int tcp = flow % 2 == 0;

        memset(frame, 0, size);
        /* Locally administered addresses; the flow is in them, too. */
        frame[0] = 2;
        put32(frame + 2, flow);
        frame[6] = 2;
        frame[7] = 1;
        put32(frame + 8, flow);
        put16(frame + 12, 0x0800);

        ip[0] = 0x45;
        put16(ip + 2, size - ETHERNET_BYTES);
        put16(ip + 4, flow & 0xffff);
        put16(ip + 6, 0x4000); /* do not fragment */
        ip[8] = 64;
        ip[9] = tcp ? PROTO_TCP : PROTO_UDP;
        put32(ip + 12, 0x0a000000u + flow);            /* 10.0.0.0 + flow */
        put32(ip + 16, 0xc0a80000u + (flow & 0xffff)); /* 192.168.0.0 + flow */
        put16(ip + 10, sum_finish(sum_words(0, ip, IP_BYTES)));

        put16(l4, 1024 + flow % 60000);
        put16(l4 + 2, tcp ? 80 : 53);
        if (tcp) {
                put32(l4 + 4, 1);
                put32(l4 + 8, 1);
                l4[12] = (TCP_BYTES / 4) << 4;
                l4[13] = 0x10; /* ACK */
                put16(l4 + 14, 65535);
        } else {
                put16(l4 + 4, l4_bytes);
        }
        payload = l4 + (tcp ? TCP_BYTES : UDP_BYTES);
        for (uint32_t i = 0; payload + i < frame + size; i++)
                payload[i] = (uint8_t)('a' + (i + flow) % 26);

        sum = sum_words(0, ip + 12, 8); /* the pseudo header */
        sum += ip[9] + l4_bytes;
        sum = sum_finish(sum_words(sum, l4, l4_bytes));
        put16(l4 + (tcp ? 16 : 6), !tcp && sum == 0 ? 0xffff : sum); /* 0 would mean "no checksum" in UDP */
}

static void null_close(void *state)
{
        struct null *g = state;

        if (g == NULL)
                return;
        free(g->frames);
        free(g);
}

static int null_open(const struct mapi_source *src, struct mapi_device_facts *facts, void **ret_state,
                     struct mapi_error *err)
{
        uint64_t packets = 1000000, size = 330, flows = 64;
        const struct drivers_option options[] = {
                { "packets", 0, UINT64_MAX, &packets },
                { "size", FRAME_MIN, FRAME_MAX, &size },
                { "flows", 1, FLOWS_MAX, &flows },
        };
        struct null *g = NULL;
        int rc = drivers_options_parse(src, options, sizeof(options) / sizeof(options[0]), err);

        if (src->fd >= 0)
                (void)close(src->fd); /* there is nothing to read from it */
        if (rc < 0)
                return rc;
        if (flows * size > FRAMES_BYTES_MAX)
                return mapi_fail(err, PCAP_OPEN_ERR, "%s: flows times size may be at most %u bytes", src->name,
                                 FRAMES_BYTES_MAX);
        g = calloc(1, sizeof(*g));
        if (g != NULL)
                g->frames = malloc(flows * size);
        if (g == NULL || g->frames == NULL) {
                null_close(g);
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "%s", src->name);
        }
        g->packets = packets;
        g->size = (uint32_t)size;
        g->flows = (uint32_t)flows;
        g->seconds = EPOCH;
        for (uint32_t flow = 0; flow < g->flows; flow++)
                make_frame(g->frames + (size_t)flow * g->size, g->size, flow);
        facts->linktype = DLT_EN10MB;
        facts->snaplen = g->size;
        facts->offline = 1;
        facts->link_speed = 0;
        *ret_state = g;
        return 0;
}

static int null_recv(void *state, struct mapi_batch *b, unsigned most, size_t max_bytes, size_t *ret_needed_bytes,
                     struct mapi_error *err)
{
        struct null *g = state;
        uint64_t room = max_bytes / g->size, n = most < MAPI_BATCH_MAX ? most : MAPI_BATCH_MAX;

        (void)err; /* nothing can go wrong */
        *ret_needed_bytes = 0;
        if (g->packets != 0) {
                if (g->made == g->packets)
                        return MAPI_RECV_END;
                if (n > g->packets - g->made)
                        n = g->packets - g->made;
        }
        if (n > room) {
                n = room;
                if (n == 0)
                        *ret_needed_bytes = g->size;
        }
        for (unsigned i = 0; i < n; i++) {
                b->pkt[i] = (struct mapi_view){
                        .data = g->frames + (size_t)g->flow * g->size,
                        .ts = mapi_ts_from_us(g->seconds, g->us),
                        .caplen = g->size,
                        .wirelen = g->size,
                        .linktype = DLT_EN10MB,
                };
                if (++g->flow == g->flows)
                        g->flow = 0;
                if (++g->us == US_PER_SECOND) {
                        g->us = 0;
                        g->seconds++;
                }
        }
        __atomic_store_n(&g->made, g->made + n, __ATOMIC_RELAXED);
        return (int)n;
}

static void null_release(void *state, struct mapi_batch *b)
{
        (void)state; /* the frames live until close */
        (void)b;
}

static void null_stats(void *state, struct mapi_driver_stats *ret)
{
        const struct null *g = state;

        *ret = (struct mapi_driver_stats){ .received = __atomic_load_n(&g->made, __ATOMIC_RELAXED) };
}

const struct mapi_driver mapi_drv_null = {
        .abi = MAPI_DRIVER_ABI,
        .name = "null",
        .help = "Makes packets for benches and tests; options packets=N,size=N,flows=N.",
        .traits = MAPI_DRV_OFFLINE,
        .open = null_open,
        .recv = null_recv,
        .release = null_release,
        .stats = null_stats,
        .close = null_close,
};
