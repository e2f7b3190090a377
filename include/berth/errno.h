/* SPDX-License-Identifier: MIT */
/*
 * The error numbers that Berth returns, negated. A freestanding build has no <errno.h>; the values
 * are those of Linux and of the public Xen ABI, so that they pass through either unchanged.
 */
#ifndef BERTH_ERRNO_H
#define BERTH_ERRNO_H

#if __STDC_HOSTED__
#include <errno.h>
#else
#define EPERM 1
#define ENOENT 2
#define EIO 5
#define E2BIG 7
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define EBUSY 16
#define EEXIST 17
#define EXDEV 18
#define ENODEV 19
#define EINVAL 22
#define ENOTTY 25
#define ENOSPC 28
#define ERANGE 34
#define EDEADLK 35
#define ENODATA 61
#define EOPNOTSUPP 95
#define ETIMEDOUT 110
#endif

#endif
