/* SPDX-License-Identifier: MIT */
/*
 * What clang's thread-safety analysis is told about locks. Nothing of it is left in the code, and
 * other compilers do not see it.
 *
 *   GUARDED_BY(s, l)   a field that is touched only with the lock l of a struct s held
 *   REQUIRES(l)        a function: the caller holds l
 *   EXCLUDES(l)        the caller does not hold l, which is taken inside
 *   ACQUIRES(l)        returns with l held
 *   ACQUIRES_IF(r, l)  the same, where it returns r
 *   RELEASES(l)        gives back what the caller holds
 *   ASSERTS(l)         whoever calls it has l, or needs it not: lock_unshared()
 *   READ_SIDE          the caller is inside a read-side section
 *   LOCKING_UNSEEN     the analysis cannot follow the body; the reason stands in front of it
 *
 * The analysis tells locks apart by the field that they are, and where both have a name by the
 * object too. tests/static/thread-safety.sh also checks the fields, for which the builds'
 * compilers are too old: they would have to know the members of a struct that is not complete.
 */
#ifndef CORE_GUARDED_H
#define CORE_GUARDED_H

#ifdef __clang__
#define LOCKING_ATTRIBUTE(...) __attribute__((__VA_ARGS__))
#else
#define LOCKING_ATTRIBUTE(...)
#endif

#ifndef GUARDED_BY
#define GUARDED_BY(of, lock)
#endif

#define CAPABILITY(name) LOCKING_ATTRIBUTE(capability(name))
#define REQUIRES(...) LOCKING_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define EXCLUDES(...) LOCKING_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define ACQUIRES(...) LOCKING_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define ACQUIRES_IF(...) LOCKING_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define RELEASES(...) LOCKING_ATTRIBUTE(release_capability(__VA_ARGS__))
#define ASSERTS(...) LOCKING_ATTRIBUTE(assert_capability(__VA_ARGS__))
#define READ_SIDE LOCKING_ATTRIBUTE(requires_shared_capability(read_side))
#define LOCKING_UNSEEN LOCKING_ATTRIBUTE(no_thread_safety_analysis)

#ifdef __clang__
/* Read-side sections as a lock that all may share; it is declared, and exists nowhere. */
struct CAPABILITY("read-side section") read_side;
extern struct read_side read_side;

void port_read_lock(void) LOCKING_ATTRIBUTE(acquire_shared_capability(read_side));
void port_read_unlock(void) LOCKING_ATTRIBUTE(release_shared_capability(read_side));
#endif

#endif
