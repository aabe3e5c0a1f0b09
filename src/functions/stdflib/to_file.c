/* TO_FILE: writes packets to a pcap file. SPDX-License-Identifier: BSD-2-Clause */
#include <mapi/function.h>

#include "formats/pcap_write.h"

/* Formats of <mapi.h>: both give a pcap file with microseconds. */
#define FORMAT_PCAP 0 /* MFF_PCAP */
#define FORMAT_RAW 1  /* MFF_RAW */

/* What the result says; negative: an errno value. */
#define RESULT_WRITING 1u
#define RESULT_COMPLETE 0u

struct to_file {
        uint64_t limit; /* packets wanted, 0: all */
        uint64_t taken; /* packets in the queue or in the file */
        uint64_t
                target; /* bytes that the file has when the last wanted packet is in it; 0: not known yet. Atomic */
};

static int start(struct mapi_fn *fn, struct mapi_error *err)
{
        struct to_file *s;
        uint8_t header[FORMATS_PCAP_FILE_BYTES];
        int rc;

        if (fn->arg[0].num != FORMAT_PCAP && fn->arg[0].num != FORMAT_RAW)
                return mapi_fail(err, MFUNCT_COULD_NOT_APPLY_FUNCT,
                                 "TO_FILE writes the formats MFF_PCAP (0) and MFF_RAW (1), not %lld",
                                 fn->arg[0].num);
        s = mapi_fn_alloc(fn, sizeof *s);
        if (s == NULL)
                return mapi_fail(err, MAPID_MEM_ALLOCATION_ERROR, "for TO_FILE");
        s->limit = fn->arg[2].u64;
        fn->state = s;
        mapi_result_set32(fn, RESULT_WRITING);
        rc = mapi_sink_open(fn, 1, err);
        if (rc < 0)
                return rc;
        formats_pcap_write_file(header, fn->device->linktype, fn->device->snaplen);
        if (!mapi_sink_put(fn, header, sizeof header, NULL, 0))
                return mapi_fail(err, MAPI_ERROR_FILE, "TO_FILE has no room for the header of %s", fn->arg[1].str);
        return 0;
}

static mapi_sel run(struct mapi_fn *fn, struct mapi_batch *b, mapi_sel in)
{
        struct to_file *s = fn->state;
        uint8_t header[FORMATS_PCAP_RECORD_BYTES];
        mapi_sel lost = 0;

        MAPI_SEL_EACH (i, in) {
                const struct mapi_view *v = &b->pkt[i];

                if (s->limit != 0 && s->taken == s->limit)
                        break;
                if (v->linktype != fn->device->linktype) { /* a pcap file has one link type for all packets */
                        lost |= MAPI_SEL_BIT(i);
                        continue;
                }
                formats_pcap_write_record(header, v);
                /* Known before the record is in the queue: the writer may be faster than we are. If there is no room for it,
                   the next packet sets the target anew. */
                if (s->taken + 1 == s->limit)
                        __atomic_store_n(&s->target, mapi_sink_total(fn) + sizeof header + v->caplen,
                                         __ATOMIC_RELEASE);
                if (mapi_sink_put(fn, header, sizeof header, v->data, v->caplen))
                        s->taken++;
                else
                        lost |= MAPI_SEL_BIT(i);
        }
        return in & ~lost;
}

static void drained(struct mapi_fn *fn, uint64_t written, int error)
{
        const struct to_file *s = fn->state;
        uint64_t target = __atomic_load_n(&s->target, __ATOMIC_ACQUIRE);

        if (error != 0)
                mapi_result_set32(fn, (uint32_t)-error);
        else if (target != 0 && written >= target)
                mapi_result_set32(fn, RESULT_COMPLETE);
        else
                mapi_result_set32(fn, RESULT_WRITING); /* also when the disk has room again */
}

static const struct mapi_arg_spec args[] = {
        { .letter = 'i', .name = "format", .help = "MFF_PCAP (0) or MFF_RAW (1): a pcap file" },
        { .letter = 'w', .name = "path", .help = "file to write; an existing one is replaced" },
        { .letter = 'l', .optional = 1, .name = "count", .help = "packets to write, 0: all", .def = 0 },
        { .letter = 0 },
};

const struct mapi_function mapi_fn_to_file = {
        .abi = MAPI_FUNCTION_ABI,
        .name = "TO_FILE",
        .help = "Writes the packets that reach it to a pcap file.",
        .args = args,
        .result = { .kind = MAPI_RESULT_COUNTER,
                    .size = 4,
                    .unit = "1 writing, 0 complete, < 0 -errno",
                    .combine = MAPI_COMBINE_SERIAL },
        .shape = MAPI_SINK,
        .traits = MAPI_KEEPS | MAPI_SERIAL,
        .room = { .per_packet = 16, .with_bytes = 1 },
        .start = start,
        .run = run,
        .drained = drained,
};
