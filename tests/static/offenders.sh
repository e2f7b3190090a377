#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The checks themselves: each one passes a small tree in order, and fails the same tree with an
# offender in it, naming the place. A check that cannot fail proves nothing.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

tree=$(mktemp -d)
trap 'rm -rf -- "$tree"' EXIT

mapfile -t base < <(project_files 'scripts/lib.sh' 'tests/static/*' .clang-format \
    include/berth/sbdf.h include/berth/errno.h src/core/guarded.h src/core/lock.h 'port/bare/*')
cp --parents -- "${base[@]}" "$tree"

# plant FILE: writes standard input to a file of the small tree.
plant() {
    mkdir -p "$tree/$(dirname -- "$1")"
    cat >"$tree/$1"
}

# In order, for every check; the offenders come beside it.
plant src/core/order.c <<'C'
/* SPDX-License-Identifier: MIT */
#include <berth_port.h>

#include <berth/sbdf.h>

static const char *const words[] = {"present", "removed"};

const char *order_word(unsigned index);

const char *order_word(unsigned index)
{
    return words[index & 1];
}
C
plant tools/order.c <<'C'
/* SPDX-License-Identifier: MIT */
#include <stdbool.h>

#include <berth/sbdf.h>

struct berth_machine;
struct pcidev;
struct pcidev *pcidev_find(struct berth_machine *machine, struct sbdf sbdf, const char *tag);
uint32_t pcidev_generation(const struct pcidev *dev);
void pcidev_put(struct pcidev *dev, const char *tag);

bool order_is_ours(struct berth_machine *machine, struct sbdf sbdf);

bool order_is_ours(struct berth_machine *machine, struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(machine, sbdf, "order");
    bool ours = false;

    if (!dev)
        return false;
    ours = pcidev_generation(dev) == 1;
    pcidev_put(dev, "order");
    return ours;
}
C
plant README.md <<'MD'
A link to [the core](src/core/order.c).
MD

tried=0 unable=' ' complaints=

# judge CHECK: runs one check on the small tree.
judge() {
    local status=0
    said=$(bash "$tree/tests/static/$1.sh" 2>&1) || status=$?
    return "$status"
}

in_order() {
    local check=$1 status=0
    judge "$check" || status=$?
    case $status in
        0) ;;
        "$EXIT_SKIP") unable+="$check " ;;
        *) complaints+="tests/static/$check.sh:1: fails a tree in order: $said"$'\n' ;;
    esac
}

# offends CHECK FILE:LINE: plants standard input as FILE, which has to be found, and removes it.
offends() {
    local check=$1 place=$2 file=${2%:*} status=0 kept=
    [[ $unable != *" $check "* ]] || return 0
    [ ! -e "$tree/$file" ] || { kept=$tree.kept; mv -- "$tree/$file" "$kept"; }
    plant "$file"
    judge "$check" || status=$?
    tried=$((tried + 1))
    if [ "$status" -ne 1 ] || ! grep -q "^$place:" <<<"$said"; then
        complaints+="tests/static/$check.sh:1: does not find $place in: $(cat "$tree/$file")"
        complaints+=$'\n'"it exits with $status and says: $said"$'\n'
    fi
    rm -- "$tree/$file"
    [ -z "$kept" ] || mv -- "$kept" "$tree/$file"
}

# with_licence: a C file's usual first line, then standard input from line 2 on.
with_licence() {
    echo '/* SPDX-License-Identifier: MIT */'
    cat
}

# repeat COUNT LINE
repeat() {
    local number
    for ((number = 0; number < $1; number++)); do
        echo "$2"
    done
}

for script in tests/static/*.sh; do
    name=$(basename "$script" .sh)
    case $name in
        offenders|mutants|scenarios) ;; # the last two are about the whole tree
        *) in_order "$name" ;;
    esac
done

offends format tools/bad.c:2 <<<$'/* SPDX-License-Identifier: MIT */\nint  bad;'

offends headers include/berth/bad.h:1 <<<'uint32_t berth_bad(void);'
offends headers include/berth/bad.h:1 <<<'int berth_bad(int class);'
offends headers include/berth/bad.h:1 <<<$'#include <pthread.h>\n#include <no_such_header.h>'
offends headers include/berth/bad.h:1 <<<'struct berth_bad { int twice; };'

offends layers src/core/bad.c:1 <<<'#include <stdio.h>'
offends layers src/core/bad.c:1 <<<'#include "tools/order.c"'
offends layers src/core/bad.c:1 <<<'#if defined(__linux__) && 1'
offends layers src/core/bad.c:1 <<<'#  ifdef _WIN32'
offends layers port/bare/bad.c:1 <<<'#include "src/core/order.c"'
offends layers host/bad.c:1 <<<'#include "front/bad.h"'
offends layers front/bad.c:1 <<<'#include "src/core/order.c"'
offends layers tools/bad.c:1 <<<'#include "src/core/order.c"'
offends layers tools/bad.c:1 <<<'#include "order.c"'
offends layers tools/berth/bad.c:1 <<<'#include "../order.c"'
offends layers include/berth/bad.h:1 <<<'#include <sys/types.h>'
offends layers include/berth/bad.h:1 <<<'#include <berth_port.h>'
offends layers attic/bad.c:1 <<<'int attic;'

offends no-mutable-state src/core/bad.c:1 <<<'int counter = 1;'
offends no-mutable-state src/core/bad.c:1 <<<'int tentative;'
offends no-mutable-state src/core/bad.c:1 <<<'_Thread_local int per_thread;'
offends no-mutable-state src/core/bad.c:1 <<<'int next(void) { static int n; return ++n; }'
offends no-mutable-state src/core/bad.c:2 <<<$'#if BERTH_CHECKS\nint *last;\n#endif'
offends no-mutable-state src/core/bad.c:1 \
    <<<'__attribute__((constructor)) void early(void) { __asm__ volatile(""); }'

offends freestanding src/core/bad.c:1 <<<'#include <string.h>'
offends freestanding src/core/bad.c:1 <<<$'void log_it(void);\nvoid bad(void) { log_it(); }'
offends freestanding src/core/bad.c:1 \
    <<<'unsigned __int128 bad(unsigned __int128 a, unsigned __int128 b) { return a / b; }'
offends freestanding src/core/bad.c:1 <<<'double bad(double a, double b) { return a * b; }'
offends freestanding src/core/bad.c:1 \
    <<<$'#if BERTH_CHECKS\nvoid stop(void);\nvoid bad(void) { stop(); }\n#endif\nint berth_bad(void);'
offends freestanding src/core/bad.c:1 <<<'int bad(int unused) { return 0; }'

offends comments include/berth/bad.h:3 <<<$'/** Bad. Context: any. */\n\nint berth_bad(void);'
offends comments include/berth/bad.h:2 <<<$'/** Says nothing of where. */\nint berth_bad(void);'
offends comments include/berth/bad.h:1 <<<'static inline int berth_bad(void) { return 0; }'

offends sizes tools/bad.c:1 < <(echo 'int bad(int a) {'; repeat 58 'a++;'; echo 'return a;'; echo '}')
offends sizes tools/bad.c:1 < <(repeat 501 '/* */')
offends sizes tests/static/sizes.allow:1 <<<'tools/order.c no longer so long'

offends spdx tools/bad.c:1 <<<'int bad;'
offends spdx tools/bad.c:1 <<<$'\n/* SPDX-License-Identifier: MIT */'
offends spdx scripts/bad.sh:1 <<<'#!/bin/bash'
offends spdx tools/meson.build:1 <<<"project('bad')"
offends spdx .ci/bad:1 <<<'#!/bin/sh'

# shellcheck disable=SC2016  # it is for another shell
offends shell scripts/bad.sh:2 <<<$'#!/bin/bash\nrm -r $1'

slash=/ at=@
offends words docs/bad.md:1 <<<"see ${slash}home/somebody/notes"
offends words docs/bad.md:1 <<<"mail some.body${at}company.com"
offends words docs/bad.md:1 <<<"from https:${slash}/mirror.local/debian"
offends words tools/bad.c:1 <<<"/* TO""DO: later */"

offends docs docs/bad.md:1 <<<'see [that](../src/core/gone.c)'
offends docs docs/bad.md:2 <<<$'```c\nint bad = pcidev_find();\n```'

offends cppcheck tools/bad.c:5 < <(with_licence <<'C'
int bad(void)
{
    int three[3] = {0};
    return three[3];
}
C
)

offends balance tools/bad.c:10 < <(with_licence <<'C'
int bad(struct berth_machine *machine, struct sbdf sbdf)
{
    struct pcidev *dev = pcidev_find(machine, sbdf, "bad");
    int error;

    if (!dev)
        return -ENODEV;
    if (pcidev_generation(dev) > 1)
        return -EBUSY;
    pcidev_put(dev, "bad");
    return 0;
}
C
)
offends balance tools/bad.c:9 < <(with_licence <<'C'
int bad(struct berth_machine *machine)
{
    struct pcidev *dev;
    struct sbdf at = {0};

    while ((dev = pcidev_next(machine, &at, "bad"))) {
        if (pcidev_generation(dev) > 1)
            return -EBUSY;
        at = pcidev_sbdf(dev);
        pcidev_put(dev, "bad");
    }
    return 0;
}
C
)
offends balance tools/bad.c:9 < <(with_licence <<'C'
int bad(struct pcidev *dev)
{
    struct pcidev_section section;

    if (!pcidev_enter(dev, "bad", &section))
        return -ENODEV;
    if (pcidev_generation(dev) > 1)
        return -EBUSY;
    pcidev_exit(&section);
    return 0;
}
C
)

offends balance src/core/bad.c:6 < <(with_licence <<'C'
int bad(struct transition *t)
{
    berth_domain_get(t->to);
    if (t->dead)
        return -ENODEV;
    berth_domain_put(t->to);
    return 0;
}
C
)
offends balance src/core/bad.c:10 < <(with_licence <<'C'
int bad(struct berth_machine *machine)
{
    struct berth_domain *domain = berth_domain_find(machine, 1);
    int error;

    if (!domain)
        return -ENOENT;
    if (machine->closing)
        return -EBUSY;
    berth_domain_put(domain);
    return 0;
}
C
)
offends balance src/core/bad.c:9 < <(with_licence <<'C'
int bad(struct pcidev *bridge) REQUIRES(bridge->lock)
{
    struct pcidev *dev;
    uint64_t cursor = 0;

    while ((dev = topology_behind(bridge, &cursor, "bad"))) {
        if (dev->broken)
            return -EBUSY;
        pcidev_put(dev, "bad");
    }
    return 0;
}
C
)
offends balance src/core/bad.c:9 < <(with_licence <<'C'
int bad(struct pcidev *dev)
{
    struct pcidev_section section;

    if (!access_open(dev, GATE_SHUT, NULL, "bad", &section))
        return -ENODEV;
    if (dev->broken)
        return -EBUSY;
    access_close(&section);
    return 0;
}
C
)

# with_lock: a lock and what it guards, then standard input from line 8 on.
with_lock() {
    with_licence <<'C'
#include "src/core/lock.h"
struct bad {
    struct lock lock;
    int guarded GUARDED_BY(bad, lock);
};
int bad(struct bad *bad);
C
    cat
}

offends thread-safety src/core/bad.c:8 < <(with_lock <<<'int bad(struct bad *bad) { return bad->guarded; }')
offends thread-safety src/core/bad.c:8 < <(with_lock <<'C'
int bad(struct bad *bad) { lock_take(&bad->lock); lock_take(&bad->lock); return bad->guarded; }
C
)
offends thread-safety src/core/bad.c:12 < <(with_lock <<'C'
int bad(struct bad *bad)
{
    lock_take(&bad->lock);
    return bad->guarded;
}
C
)
offends thread-safety src/core/bad.c:9 < <(with_lock <<'C'
int inside(struct bad *bad) REQUIRES(bad->lock);
int bad(struct bad *bad) { return inside(bad); }
C
)
offends thread-safety src/core/bad.c:9 < <(with_lock <<'C'
int inside(void) READ_SIDE;
int bad(struct bad *bad) { return inside() + (bad != NULL); }
C
)
offends thread-safety src/core/bad.c:8 \
    < <(with_lock <<<'int bad(struct bad *bad) { port_read_lock(); return bad != NULL; }')

offends sections src/core/bad.c:2 <<'C'
struct ops { int (*config_read)(void *context); };
int bad(const struct ops *host, void *context) { return host->config_read(context); }
C
offends sections src/core/bad.c:3 <<'C'
static void check_inside(void) { }
static void seam_read(void) { check_inside(); }
void bad(void) { seam_read(); }
C
offends sections src/core/bad.c:5 <<'C'
static void check_inside(void) { }
static void read_it(void) { check_inside(); }
struct step { void (*run)(void); };
static const struct step steps[] = {{read_it}, {0}};
void bad(void) { steps[0].run(); }
C

offends analyzer tools/bad.c:8 < <(with_licence <<'C'
#include <stdlib.h>
int bad(int value)
{
    int *kept = malloc(sizeof(*kept));
    if (kept && value)
        *kept = value;
    return kept ? 1 : 0;
}
C
)

[ "$unable" = ' ' ] || echo "not tried, for want of tools:$unable"
conclude "$tried" offenders "${complaints%$'\n'}"
