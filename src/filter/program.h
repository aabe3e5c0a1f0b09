/* What a compiled filter is, inside src/filter. SPDX-License-Identifier: BSD-2-Clause */
#ifndef FILTER_PROGRAM_H
#define FILTER_PROGRAM_H

#include "filter/filter.h"

#include <pcap/pcap.h>

struct filter {
        uint32_t n; /* instructions */
        uint16_t linktype;
        uint64_t hash; /* of linktype and instructions */
        struct bpf_insn insns[];
};

#endif
