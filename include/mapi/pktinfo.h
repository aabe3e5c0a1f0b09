/* PKTINFO: values of its argument. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_PKTINFO_H
#define MAPI_PKTINFO_H

#ifndef PKT_TS
#define PKT_TS 0 /* time stamp of the latest packet, 32.32 since 1970 */
#endif
#ifndef PKT_SIZE
#define PKT_SIZE 1 /* bytes on the wire of the latest packet */
#endif

#endif
