/*
 * The few link types whose number in a file is not the number that filters use on Linux.
 *
 * SPDX-License-Identifier: BSD-2-Clause
 */
#include "formats/linktype.h"

#include <stddef.h>

static const struct {
        uint16_t linktype;
        uint16_t dlt;
} different[] = {
        { 100, 11 }, /* ATM_RFC1483 */
        { 101, 12 }, /* RAW */
        { 102, 15 }, /* SLIP_BSDOS */
        { 103, 16 }, /* PPP_BSDOS */
        { 106, 19 }, /* ATM_CLIP */
};

#define N_DIFFERENT (sizeof(different) / sizeof(different[0]))

uint16_t formats_dlt_from_linktype(uint16_t linktype)
{
        for (size_t i = 0; i < N_DIFFERENT; i++)
                if (different[i].linktype == linktype)
                        return different[i].dlt;
        return linktype;
}

uint16_t formats_linktype_from_dlt(uint16_t dlt)
{
        for (size_t i = 0; i < N_DIFFERENT; i++)
                if (different[i].dlt == dlt)
                        return different[i].linktype;
        return dlt;
}
