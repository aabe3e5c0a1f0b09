#!/bin/sh
# Makes all traces of this folder and their README anew: remake.sh MAKE_TRACE FOLDER
# SPDX-License-Identifier: BSD-2-Clause
set -eu

make_trace=$1
out=$2
mkdir -p "$out"

cat >"$out/README.md" <<'END'
# Test traces

Made by `remake.sh` with `make_trace` of this folder, all invented: nobody's traffic is in them. They are under the
project's licence, BSD-2-Clause. The same options give the same bytes on every machine; a test makes them anew and
compares. `make_trace -h` lists what else it can do; `bench/run` uses it for its millions of packets.

In all of them: some 200 conversations at once between hosts of 10/8, 139.91/16 (the tutorial's 139.91.145.84 is a busy
one), the documentation ranges and 2001:db8::/32: HTTP with words to search for, TLS, SSH, mail, DNS, NTP, QUIC, ping,
ARP, IPv6, one and two VLAN tags, fragments, IP options and extension headers. Every 400th packet is the worm of the
tutorial's section 6.3 (UDP, port 2002 to 80 of 139.91.23.x) or, every fourth time, one that only looks like it.

| file | packets | what |
| --- | --- | --- |
END

trace() # FILE COUNT WORDS OPTIONS...
{
        file=$1 count=$2 words=$3
        shift 3
        "$make_trace" -n "$count" -o "$out/$file" "$@"
        echo "| $file | $count | $words |" >>"$out/README.md"
}

trace demo.pcap 2800 'a minute of Ethernet; the trace of ./demo and of most tests'
trace few-us-be.pcap 60 'pcap, microseconds, big-endian' -r 2 -f us-be
trace few-ns-le.pcap 60 'pcap, nanoseconds, little-endian' -r 2 -f ns-le
trace few-ns-be.pcap 60 'pcap, nanoseconds, big-endian' -r 2 -f ns-be
trace few-le.pcapng 60 'pcapng, little-endian, nanoseconds' -r 2 -f ng-le
trace few-be.pcapng 60 'pcapng, big-endian, nanoseconds' -r 2 -f ng-be
trace few-snap68.pcap 120 'no more than 68 bytes captured of each packet' -r 3 -s 68
trace few-snap37.pcap 120 'cut inside the headers: 37 bytes captured of each packet' -r 4 -s 37
trace few-raw.pcap 60 'link type RAW: packets begin with the IP header' -r 5 -l raw
trace few-sll.pcap 60 'link type LINUX_SLL' -r 5 -l sll
trace few-small.pcap 120 'small frames, no TCP' -r 6 -z small -p udp,icmp,arp,ip6,vlan,odd
trace few-cut.pcap 60 'its last packet lacks 7 bytes: 59 whole ones and a damaged tail' -r 7 -c 7
trace none.pcap 0 'a file header and nothing else'
