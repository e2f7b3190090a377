#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The tree is about Berth, and not about the desk that it was written at: no paths, package mirrors
# or addresses of one, and no notes to oneself.

. "$(dirname -- "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

# rule, and what breaks it
rules() {
    cat <<'TEXT'
a path of one machine     (^|[^A-Za-z0-9_.$}/*-])/(home|root|work|workspace|Users|builds)/[A-Za-z0-9._]
a scratch path            (^|[^A-Za-z0-9_.$}/*-])/var/tmp/[A-Za-z0-9._]
a package mirror          https?://[^ ]*(artifactory|nexus|devpi|goproxy|[.]corp|[.]internal|[.]local)([^A-Za-z]|$)
a package mirror          https?://(10|127|192[.]168|172[.](1[6-9]|2[0-9]|3[01]))[.][0-9.]+
an e-mail address         [A-Za-z0-9._%+-]+@[A-Za-z0-9-]+([.][A-Za-z0-9-]+)*[.](com|org|net|de|io|dev|edu|co)([^A-Za-z]|$)
a note to oneself         (^|[^A-Za-z])(TO[D]O|FIX[M]E)([^A-Za-z]|$)
TEXT
}

# A mail address that is meant to be there, and the examples that RFC 2606 keeps free.
welcome='^CONTRIBUTING\.md:|@example\.(com|org|net)'

check() {
    local rule pattern
    rules | while IFS= read -r rule; do
        pattern=$(sed -E 's/^.*[^ ] {2,}//' <<<"$rule")
        { grep -nIE -- "$pattern" "${files[@]}" /dev/null || true; } |
            { grep -vE "$welcome" || true; } |
            sed -E "s|^([^:]+:[0-9]+):.*|\1: ${rule%%  *}|"
    done
}

mapfile -t files < <(project_files '*')
[ ${#files[@]} -gt 0 ] || conclude 0 files ''
complaints=$(check)
conclude ${#files[@]} files "$complaints"
