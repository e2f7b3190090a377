/* SPDX-License-Identifier: MIT */
/*
 * For builds with the thread sanitizer, which cannot look into liburcu's own half of a grace
 * period: what is freed behind one looks as if it were freed without order. Too early a free is
 * what the address sanitizer is for.
 */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define THREAD_SANITIZER 1
#endif
#endif

#if defined(THREAD_SANITIZER) || defined(__SANITIZE_THREAD__)
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:liburcu-memb\nrace:urcu_common_wake_up_gp\n";
}
#else
typedef int nothing_to_suppress;
#endif
