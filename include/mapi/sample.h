/* SAMPLE: values of its second argument, the mode. SPDX-License-Identifier: BSD-2-Clause */
#ifndef MAPI_SAMPLE_H
#define MAPI_SAMPLE_H

#ifndef PERIODIC
#define PERIODIC 2 /* every n-th packet passes */
#endif
#ifndef DETERMINISTIC
#define DETERMINISTIC 2 /* the manual's old name of PERIODIC */
#endif
#ifndef PROBABILISTIC
#define PROBABILISTIC 3 /* n percent of the packets pass, chosen at random */
#endif

#endif
