/* One packet in one line of text. SPDX-License-Identifier: BSD-2-Clause */
#ifndef PACKET_LINE_H
#define PACKET_LINE_H

#define PACKET_LINE_MAX 160

struct mapipkt;

/** Who sends what to whom. line: PACKET_LINE_MAX bytes. */
void packet_line(const struct mapipkt *pkt, char *line);

/** The first line of a request of HTTP, with who asks whom. */
void packet_request_line(const struct mapipkt *pkt, char *line);

#endif
