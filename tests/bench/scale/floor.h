/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef VP_SCALE_FLOOR_H
#define VP_SCALE_FLOOR_H

/* What sweeps are compared with: the calls that they must make, made bare. */

#define SWEEP_US 2000000

/* Processor time of a quick and of a full look at all guests, in microseconds,
 * the mean of so many rounds, SWEEP_US apart. */
double floor_quick(unsigned rounds);
double floor_full(unsigned rounds);

#endif
