#!/bin/bash
# SPDX-License-Identifier: MIT
#
# A1: nobody gets to the hardware but through an access section, and to the host but through
# src/core/seam.c. Debug builds stop where a test comes by; this looks at every way that there is.
#
#  * By gcc's call graph: from a function that nothing in src/ calls there is no way to
#    check_inside(), where the seam looks for the section, but through a function that opens one.
#    A call through a table of src/ may reach everything whose address is taken in src/.
#  * By the text: the host, the IOMMU, BARs and interrupts of the embedder are called in seam.c.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"
need gcc python3

scratch=$(mktemp -d)
trap 'rm -rf -- "$scratch"' EXIT

# The first three open a section; the others return with it open.
openers='access_open pcidev_enter transition_begin
         vpci_enter owner_enter range_enter section_open vfs_begin recover_begin'

# Their callers are embedders, who have opened one (include/berth/pcidev.h).
entered='pcidev_config_read pcidev_config_write'

# Calls beside the seam, each with its reason.
exceptions=(
    'src/core/space.c space_create'  # no device is touched
    'src/core/space.c space_destroy' # the same
    'src/core/topology.c group'      # the same: the IOMMU is asked what it knows
    'src/core/eligible.c remaps'     # the same: the interrupt controller is
    'src/core/explain.c remaps'      # the same
    'src/core/machine.c config_read' # M11: the machine has crashed, sections may be open for ever
    'src/core/machine.c config_write' # the same
)

is_exception() {
    local exception
    for exception in "${exceptions[@]}"; do
        [ "$1" != "$exception" ] || return 0
    done
    return 1
}

host_calls() {
    local file line call
    { grep -noE '(host|iommu|bars|irqs)->[a-z_]+\(' "${files[@]}" /dev/null || true; } |
        while IFS=: read -r file line call; do
            call=${call#*->} call=${call%(}
            [ "$file" = src/core/seam.c ] || is_exception "$file $call" ||
                echo "$file:$line: calls the embedder beside the seam: $call()"
        done
}

call_graphs() {
    local file
    for file in "${files[@]}"; do
        gcc -std=gnu11 -O0 -ffreestanding -DBERTH_CHECKS=1 -Iinclude -I. -Iport/bare \
            -fcallgraph-info -c "$file" -o "$scratch/${file//\//_}.o" 2>&1 ||
            echo "$file:1: does not compile"
    done
}

ways_round() {
    python3 - "$openers" "$entered" "$scratch" "${files[@]}" <<'PYTHON'
import collections, glob, re, sys

openers, entered = set(sys.argv[1].split()), set(sys.argv[2].split())
sources = {path: open(path, encoding="utf-8").read() for path in sys.argv[4:]}
lines = {path: text.split("\n") for path, text in sources.items()}
calls, places, indirect = collections.defaultdict(set), {}, set()

def field(name, line):
    return re.search(name + r': "([^"]*)"', line).group(1)

for graph in glob.glob(sys.argv[3] + "/*.ci"):
    for line in open(graph, encoding="utf-8"):
        if line.startswith("node:") and "ellipse" not in line:
            place = field("label", line).split("\\n")[1].removeprefix("./")
            places[field("title", line)] = place.rsplit(":", 1)[0]
        elif line.startswith("edge:"):
            caller, callee = field("sourcename", line), field("targetname", line)
            if callee != "__indirect_call":
                calls[caller].add(callee)
                continue
            path, number, _ = field("label", line).removeprefix("./").rsplit(":", 2)
            if not re.search(r"ops|config|host->|iommu->|irqs->", lines[path][int(number) - 1]):
                indirect.add(caller)  # not one of the embedder's: a table of our own

# What is named without being called, outside of comments, has its address taken.
named = set()
for path, text in sources.items():
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.S)
    named |= set(re.findall(r"\b([a-z_]\w*)\b(?!\s*\()", text))
taken = {f for f in places if f.rsplit(":", 1)[-1] in named}

def short(function):
    return function.rsplit(":", 1)[-1]

def opens(function):
    return short(function) in openers or any(short(f) in openers for f in calls[function])

callers = collections.defaultdict(set)
for caller, callees in calls.items():
    for callee in callees:
        callers[callee].add(caller)
for caller in indirect:
    for callee in taken:
        callers[callee].add(caller)

naked, way = collections.deque(f for f in places if short(f) == "check_inside"), {}
while naked:
    function = naked.popleft()
    above = callers[function] - {function}
    if not above and short(function) not in entered | {"check_inside"}:
        path = [function]
        while path[-1] in way:
            path.append(way[path[-1]])
        print(f"{places[function]}: reaches the hardware without a section:",
              " > ".join(short(f) for f in path))
    for caller in above:
        if caller in places and caller not in way and not opens(caller):
            way[caller] = function
            naked.append(caller)
PYTHON
}

mapfile -t files < <(project_files 'src/*.c')
[ ${#files[@]} -gt 0 ] || conclude 0 'core files' ''
complaints=$(host_calls; call_graphs; ways_round | sort -u)
conclude ${#files[@]} 'core files' "$complaints"
